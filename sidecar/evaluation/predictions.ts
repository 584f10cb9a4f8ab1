import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { binOf, type PredictionsResult } from './results.ts';
import { sequences } from './sequences.ts';
import { sum } from './statistics.ts';
import { reference, type Strategy } from './strategies.ts';

/** Parts of a context whose divergence is told apart. */
export const positions = 32;

/** Logits held at a time: for two sequences, and each a float. */
const mostLogits = 2 ** 24;

/**
 * Teacher-forced: both caches read the same text, whatever they would have written, and every token's prediction by one is
 * compared with the other's. The whole context is compared, its second half scored.
 */
export async function measurePredictions(
  { native }: LoadedModel,
  strategy: Strategy,
  tokens: Int32Array,
  chunk: number,
  signal: AbortSignal,
): Promise<PredictionsResult> {
  await native.beginSequence(sequences.full, reference.cache);
  await native.beginSequence(sequences.measured, strategy.cache);
  const context = tokens.length;
  const half = Math.floor(context / 2);
  const piece = Math.max(1, Math.min(512, Math.floor(mostLogits / native.info.vocabulary)));
  const scored = { tokens: 0, loss: 0, fullLoss: 0, divergence: 0, sameTop: 0 };
  const divergences: Record<string, number> = {};
  const parts = Array.from({ length: positions }, () => ({ sum: 0, count: 0 }));
  for (let at = 0; at < context - 1;) {
    // A piece ends where the scored half begins.
    const end = Math.min(at + piece, at < half ? half : context - 1);
    const compared = await runJob(
      native.compare(
        tokens.slice(at, end),
        tokens.slice(at + 1, end + 1),
        sequences.measured,
        sequences.full,
      ),
      signal,
    );
    for (const [index, divergence] of compared.divergences.entries()) {
      const part = parts[Math.floor(((at + index) * positions) / context)];
      if (part !== undefined) {
        part.sum += divergence;
        part.count++;
      }
      if (at < half) continue;
      const bin = binOf(divergence);
      divergences[bin] = (divergences[bin] ?? 0) + 1;
    }
    if (at >= half) {
      scored.tokens += end - at;
      scored.loss += sum(compared.losses);
      scored.fullLoss += sum(compared.referenceLosses);
      scored.divergence += sum(compared.divergences);
      scored.sameTop += compared.sameTop;
    }
    at = end;
  }
  // The one compared is the one in use.
  const { bytes, fp16Bytes, droppedTokens } = native.stats();
  return {
    task: 'predictions',
    cache: strategy.name,
    context,
    chunk,
    ...scored,
    divergences,
    byPosition: parts.map((part) => part.sum / part.count),
    bytes,
    fullBytes: fp16Bytes,
    droppedTokens,
  };
}
