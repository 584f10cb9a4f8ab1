import {
  ErrorCodes,
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type CancellationToken,
  type Connection,
} from 'vscode-languageserver/node';
import { z } from 'zod';
import { parseChatParams } from './chat/params.ts';
import { diagnose } from './diagnose.ts';
import { describeFailure, isCancellation, type Failure } from './engine/failure.ts';
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
    answer(await installRuntime(progressTo(connection, workDoneToken), signalOf(token))),
  );
  connection.onRequest(ChatRequest, async (input, token) => {
    const given = parseChatParams(input);
    if (!given.success) return invalid(given.error);
    const params = given.data;
    const outcome = await service.chat(params, signalOf(token), (event) => {
      notify(connection, ChatProgressNotification, { id: params.id, ...event });
    });
    return answer(outcome);
  });
  connection.onRequest(CountTokensRequest, async (input, token) => {
    const given = countParams.safeParse(input);
    if (!given.success) return invalid(given.error);
    return answer(await service.countTokens(given.data.texts, signalOf(token)));
  });
  connection.onRequest(ModelRequest, async (token) => {
    const model = await service.loaded(signalOf(token));
    return model.ok ? model.value : null;
  });
  connection.onRequest(MemoryForecastRequest, () => service.forecast());
  connection.onRequest(MeasureCacheRequest, async (input, token) => {
    const given = measureParams.safeParse(input);
    if (!given.success) return invalid(given.error);
    const { uri, workDoneToken } = given.data;
    const onProgress = progressTo(connection, workDoneToken);
    return answer(await service.measure(uri, signalOf(token), onProgress));
  });
  connection.onRequest(ClearCacheRequest, () => service.clearCache());
}

const invalid = (error: z.ZodError): ResponseError =>
  new ResponseError(ErrorCodes.InvalidParams, z.prettifyError(error));

/** The line that users see goes to them as the error's message. */
function answer<T>(outcome: Result<T, Failure>): T | ResponseError {
  if (outcome.ok) return outcome.value;
  return new ResponseError(
    isCancellation(outcome.error) ? LSPErrorCodes.RequestCancelled : LSPErrorCodes.RequestFailed,
    describeFailure(outcome.error),
  );
}

function signalOf(token: CancellationToken): AbortSignal {
  const abort = new AbortController();
  token.onCancellationRequested(() => {
    abort.abort();
  });
  if (token.isCancellationRequested) abort.abort();
  return abort.signal;
}

/** Tells a client how far its request is, in whole percents, where it wants to be told. */
function progressTo(
  connection: Connection,
  workDoneToken: string | number | undefined,
): (fraction: number) => void {
  let shown = -1;
  return (fraction) => {
    const percentage = Math.floor(fraction * 100);
    if (workDoneToken === undefined || percentage === shown) return;
    shown = percentage;
    const value = { kind: 'report' as const, percentage };
    connection.sendProgress(WorkDoneProgress.type, workDoneToken, value).catch(() => undefined);
  };
}
