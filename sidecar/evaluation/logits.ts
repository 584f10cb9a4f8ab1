import type { NativeEngine } from '../engine/addon.ts';
import { runJob } from '../engine/job.ts';
import { joinTokens } from '../engine/tokens.ts';

/** Logarithm of the sum of exponentials, and the index of the largest logit. */
export function logSumExp(logits: Float32Array): [number, number] {
  let top = 0;
  for (let token = 1; token < logits.length; token++)
    if ((logits[token] ?? Number.NaN) > (logits[top] ?? Number.NaN)) top = token;
  const max = logits[top] ?? Number.NaN;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return [max + Math.log(sum), top];
}

/**
 * How far the model is from writing tokens behind a prompt that sequence 0 holds, in nats, all of them together; `exact`: it
 * would write them, greedily.
 */
export async function lossBehind(
  native: NativeEngine,
  prompt: Int32Array,
  written: Int32Array,
  signal: AbortSignal,
): Promise<{ readonly loss: number; readonly exact: boolean }> {
  const { vocabulary } = native.info;
  const held = await native.truncate(prompt.length - 1);
  const tokens = joinTokens([prompt.subarray(held), written]);
  const logits = await runJob(native.evaluate(tokens, 'all'), signal);
  const first = prompt.length - 1 - held;
  let loss = 0;
  let exact = true;
  for (const [index, token] of written.entries()) {
    const row = logits.subarray((first + index) * vocabulary, (first + index + 1) * vocabulary);
    const [shift, top] = logSumExp(row);
    loss += shift - (row[token] ?? Number.NaN);
    exact &&= token === top;
  }
  return { loss, exact };
}
