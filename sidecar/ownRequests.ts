import type { Connection } from 'vscode-languageserver/node';
import { z } from 'zod';
import { parseChatParams } from './chat/params.ts';
import { diagnose } from './diagnose.ts';
import type { Failure } from './engine/failure.ts';
import {
  CacheStatsRequest,
  ChatProgressNotification,
  ChatRequest,
  ClearCacheRequest,
  ContextRequest,
  CountTokensRequest,
  DiagnoseRequest,
  InstallGpuRuntimeRequest,
  MeasureCacheRequest,
  MemoryForecastRequest,
  ModelRequest,
} from './protocol.ts';
import { answerWith, invalid, progressTo, signalOf } from './requests.ts';
import type { Result } from './result.ts';
import type { CompletionService, ServiceOptions } from './service.ts';
import { notify } from './status.ts';

export interface OwnRequestsOptions extends Pick<ServiceOptions, 'loadAddon'> {
  readonly version: string;
  /** Downloads the GPU runtime; resolves to a sentence for people. */
  readonly installRuntime: (
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ) => Promise<Result<string, Failure>>;
}

// What arrives is only said to be of its type.
const countParams = z.object({ texts: z.array(z.string()) });
const measureParams = z.object({
  uri: z.string(),
  workDoneToken: z.union([z.string(), z.number()]).optional(),
});

/** Answers the requests that are Sightline's own. */
export function answerOwnRequests(
  connection: Connection,
  service: CompletionService,
  { version, loadAddon, installRuntime }: OwnRequestsOptions,
): void {
  connection.onRequest(CacheStatsRequest, () => service.stats);
  connection.onRequest(ContextRequest, () => service.context());
  connection.onRequest(DiagnoseRequest, () =>
    diagnose({
      ...{ version, loadAddon, settings: service.settings },
      ...{ status: service.idle, stats: service.stats },
    }),
  );
  connection.onRequest(InstallGpuRuntimeRequest, async ({ workDoneToken }, token) =>
    answerWith(await installRuntime(progressTo(connection, workDoneToken), signalOf(token))),
  );
  connection.onRequest(ChatRequest, async (input, token) => {
    const given = parseChatParams(input);
    if (!given.success) return invalid(given.error);
    const params = given.data;
    const outcome = await service.chat(params, signalOf(token), (event) => {
      notify(connection, ChatProgressNotification, { id: params.id, ...event });
    });
    return answerWith(outcome);
  });
  connection.onRequest(CountTokensRequest, async (input, token) => {
    const given = countParams.safeParse(input);
    if (!given.success) return invalid(given.error);
    return answerWith(await service.countTokens(given.data.texts, signalOf(token)));
  });
  connection.onRequest(ModelRequest, async (token) => {
    const model = await service.loaded(signalOf(token));
    return model.ok ? model.value : null;
  });
  connection.onRequest(MemoryForecastRequest, (token) => service.forecast(signalOf(token)));
  connection.onRequest(MeasureCacheRequest, async (input, token) => {
    const given = measureParams.safeParse(input);
    if (!given.success) return invalid(given.error);
    const { uri, workDoneToken } = given.data;
    const onProgress = progressTo(connection, workDoneToken);
    return answerWith(await service.measure(uri, signalOf(token), onProgress));
  });
  connection.onRequest(ClearCacheRequest, () => service.clearCache());
}
