import {
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type CancellationToken,
  type Connection,
} from 'vscode-languageserver/node';
import { describeFailure, isCancellation, type Failure } from './engine/failure.ts';
import type { RequestFailure } from './protocol.ts';
import type { Result } from './result.ts';

/** What the requests with long work have in common. */

export function signalOf(token: CancellationToken): AbortSignal {
  const abort = new AbortController();
  token.onCancellationRequested(() => {
    abort.abort();
  });
  if (token.isCancellationRequested) abort.abort();
  return abort.signal;
}

/** Tells the client how far the work is, whenever that is another whole percentage; without a token it goes nowhere. */
export function progressTo(
  connection: Connection,
  workDoneToken: string | number | undefined,
): (fraction: number, message?: string) => void {
  let shown = -1;
  return (fraction, message) => {
    const percentage = Math.floor(fraction * 100);
    if (workDoneToken === undefined || percentage === shown) return;
    shown = percentage;
    const said = message === undefined ? {} : { message };
    const value = { kind: 'report' as const, percentage, ...said };
    connection.sendProgress(WorkDoneProgress.type, workDoneToken, value).catch(() => undefined);
  };
}

export function answerWith<T>(outcome: Result<T, Failure>): T | ResponseError<RequestFailure> {
  if (outcome.ok) return outcome.value;
  const { error } = outcome;
  return new ResponseError(
    isCancellation(error) ? LSPErrorCodes.RequestCancelled : LSPErrorCodes.RequestFailed,
    describeFailure(error),
    { code: error.code },
  );
}
