import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';
import type { ContinuationResult } from './results.ts';
import { sequences } from './sequences.ts';
import { editSimilarity, rougeL } from './similarity.ts';
import type { Strategy } from './strategies.ts';

/** Tokens written behind a context. */
export const continued = 64;

/**
 * What the model writes greedily behind all but the last tokens of a context, beside these and beside what it writes with the
 * full cache (undefined: this is the full cache).
 */
export async function measureContinuation(
  { native }: LoadedModel,
  strategy: Strategy,
  tokens: Int32Array,
  chunk: number,
  full: string | undefined,
  signal: AbortSignal,
): Promise<ContinuationResult> {
  await native.dropSequence(sequences.full);
  await native.beginSequence(sequences.measured, strategy.cache);
  const end = tokens.length - continued;
  const job = native.complete(
    {
      tokens: tokens.slice(0, end),
      maxTokens: continued,
      sampling: greedy,
      stopTokens: new Int32Array(),
      speculate: false,
      sequence: sequences.measured,
    },
    () => undefined,
  );
  const { text, tokens: written } = await runJob(job, signal);
  const expected = await native.detokenize(tokens.slice(end));
  const other = full ?? text;
  const same = await native.tokenize(commonStart(text, other), false);
  return {
    task: 'continuation',
    cache: strategy.name,
    context: tokens.length,
    chunk,
    rougeL: rougeL(text, expected),
    similarity: editSimilarity(text, other),
    sameTokens: text === other ? written.length : same.length,
    writtenTokens: written.length,
    text,
  };
}

function commonStart(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}
