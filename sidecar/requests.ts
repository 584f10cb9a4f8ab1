import {
  ErrorCodes,
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type CancellationToken,
  type Connection,
} from 'vscode-languageserver/node';
import { z } from 'zod';
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

/** The latest request for each document: it is given up when it is cancelled, when a newer one comes, and by `giveUp`. */
export class LatestRequests {
  /** By URI. */
  readonly #running = new Map<string, AbortController>();

  giveUp(uri: string): void {
    this.#running.get(uri)?.abort();
  }

  async run<T>(
    uri: string,
    token: CancellationToken,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.giveUp(uri);
    const abort = new AbortController();
    this.#running.set(uri, abort);
    const subscription = token.onCancellationRequested(() => {
      abort.abort();
    });
    if (token.isCancellationRequested) abort.abort();
    try {
      return await work(abort.signal);
    } finally {
      subscription.dispose();
      if (this.#running.get(uri) === abort) this.#running.delete(uri);
    }
  }
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

/** Answers parameters that are not what they should be. */
export const invalid = (error: z.ZodError): ResponseError<RequestFailure> =>
  new ResponseError(ErrorCodes.InvalidParams, z.prettifyError(error));

export function answerWith<T>(outcome: Result<T, Failure>): T | ResponseError<RequestFailure> {
  if (outcome.ok) return outcome.value;
  const { error } = outcome;
  return new ResponseError(
    isCancellation(error) ? LSPErrorCodes.RequestCancelled : LSPErrorCodes.RequestFailed,
    describeFailure(error),
    { code: error.code },
  );
}
