import type { Failure } from '../engine/failure.ts';
import type { RemoteAnswer, RemoteServer } from '../remote/server.ts';
import { succeed, type Result } from '../result.ts';
import { CursorSyntax } from '../syntax/cursor.ts';
import {
  excerptOf,
  insertable,
  isComplete,
  offeredOf,
  type CompletionRequest,
} from './complete.ts';

/** A completion that a team's server wrote. */
export interface RemoteCompletion {
  /** What to insert at the cursor; empty when there is nothing to offer. */
  readonly text: string;
  readonly answer: RemoteAnswer;
  readonly seconds: number;
}

/**
 * Completes a document on a server, with about `reach` characters before and behind the cursor. What the server keeps of the
 * prompt is its own affair; `onText` gets all of the text to insert so far.
 */
export async function completeRemotely(
  server: RemoteServer,
  request: CompletionRequest,
  reach: number,
  signal: AbortSignal,
  onText: (text: string) => void,
): Promise<Result<RemoteCompletion, Failure>> {
  const found = excerptOf(request, reach);
  if (!found.ok) return found;
  const excerpt = found.value;
  const started = performance.now();
  const { name, languageId, anywhere = false, grammars, maxTokens, sampling } = request;
  const place = { name, languageId, before: excerpt.prefix, after: excerpt.suffix, anywhere };
  let syntax: CursorSyntax | undefined;
  const parsing = grammars && CursorSyntax.at(place, grammars).then((parsed) => (syntax = parsed));
  let written = '';
  try {
    const [outcome] = await Promise.all([
      server.complete(
        {
          prefix: excerpt.prefix,
          suffix: excerpt.suffix,
          maxTokens,
          temperature: sampling?.temperature ?? 0,
        },
        (piece) => {
          written += piece;
          onText(insertable(written, excerpt));
          return isComplete(written, excerpt, syntax);
        },
        signal,
      ),
      parsing,
    ]);
    if (!outcome.ok) return outcome;
    const { text, finish } = outcome.value;
    return succeed({
      text: offeredOf(text, finish === 'length', excerpt, syntax),
      answer: outcome.value,
      seconds: (performance.now() - started) / 1000,
    });
  } finally {
    (await parsing)?.close();
  }
}
