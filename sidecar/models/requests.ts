import type { Connection } from 'vscode-languageserver/node';
import { z } from 'zod';
import type { Failure } from '../engine/failure.ts';
import { DownloadModelRequest, InspectModelRequest, ListModelsRequest } from '../protocol.ts';
import { answerWith, progressTo, signalOf } from '../requests.ts';
import { fail, succeed, type Result } from '../result.ts';
import { Models, type ModelsOptions } from './models.ts';

const listed = z.object({ paths: z.array(z.string()) });
const inspected = z.object({ repository: z.string(), token: z.string().optional() });
const downloaded = inspected.extend({
  file: z.string(),
  workDoneToken: z.union([z.string(), z.number()]).optional(),
});

/** Answers what clients ask about models. */
export function serveModels(connection: Connection, options: ModelsOptions): void {
  const models = new Models(options);
  connection.onRequest(ListModelsRequest, async (params, token) => {
    const checked = checkedBy(listed, params);
    if (!checked.ok) return answerWith(checked);
    return models.list(checked.value.paths, signalOf(token));
  });
  connection.onRequest(InspectModelRequest, async (params, token) => {
    const checked = checkedBy(inspected, params);
    if (!checked.ok) return answerWith(checked);
    const { repository, token: secret } = checked.value;
    return answerWith(await models.inspect(repository, secret, signalOf(token)));
  });
  connection.onRequest(DownloadModelRequest, async (params, token) => {
    const checked = checkedBy(downloaded, params);
    if (!checked.ok) return answerWith(checked);
    const { repository, file, token: secret, workDoneToken } = checked.value;
    const report = progressTo(connection, workDoneToken);
    const describe = transferText();
    return answerWith(
      await models.download(
        repository,
        file,
        secret,
        (done, total) => {
          report(done / total, describe(done, total));
        },
        signalOf(token),
      ),
    );
  });
}

/** What arrives is only said to be of its type. Values are not repeated: one of them is a secret. */
function checkedBy<T>(schema: z.ZodType<T>, params: unknown): Result<T, Failure> {
  const parsed = schema.safeParse(params);
  if (parsed.success) return succeed(parsed.data);
  const names = parsed.error.issues.map(({ path }) => path.join('.')).join(', ');
  return fail({ code: 'BAD_ARGUMENT', message: `The request lacks, or has wrong: ${names}.` });
}

/** How much has arrived, and how fast it does since the first time it was asked. */
function transferText(): (done: number, total: number) => string {
  let first: { readonly bytes: number; readonly at: number } | undefined;
  return (done, total) => {
    first ??= { bytes: done, at: performance.now() };
    const amount = `${gigabytes(done)} of ${gigabytes(total)} GB`;
    const seconds = (performance.now() - first.at) / 1000;
    const rate = (done - first.bytes) / 1e6 / seconds;
    return seconds < 1 ? amount : `${amount}, ${rate.toFixed(1)} MB/s`;
  };
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(bytes < 1e8 ? 3 : 1);
