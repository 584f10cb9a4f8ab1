import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation } from '../engine/failure.ts';
import { runJob } from '../engine/job.ts';
import { sequences } from '../engine/sequences.ts';
import type { Turns } from '../engine/turns.ts';
import type { CacheQuality } from '../protocol.ts';
import { sum } from '../evaluation/statistics.ts';
import { startOf } from '../context/head.ts';
import { joinTokens } from '../engine/tokens.ts';

/** Tokens compared in one call: what a completion may have to wait for, and whose logits are held twice. */
const tokensPerTurn = 64;

export type Measured = Omit<CacheQuality, 'uri' | 'documentTokens' | 'policy'>;

/**
 * Compares the model's cache with an FP16 one on a text, every token given the ones before it, in two sequences of their own,
 * which are dropped in the end. Rejects with ABORTED, CACHE_EXHAUSTED, MODEL_UNSUPPORTED, or the reason of `signal`.
 */
export async function measureCache(
  { native }: LoadedModel,
  text: Int32Array,
  turns: Turns,
  signal: AbortSignal,
  onProgress: (fraction: number) => void,
): Promise<Measured> {
  const tokens = joinTokens([startOf(native.info), text]);
  const divergences: number[] = [];
  const sums = { loss: 0, reference: 0, sameTop: 0 };
  let cache = { bytes: 0, fp16Bytes: 0 };
  const count = tokens.length - 1;
  const { measured, reference } = sequences;
  try {
    await native.dropSequence(measured);
    await native.beginSequence(reference, { policy: 'full' });
    for (let at = 0; at < count;) {
      const end = Math.min(at + tokensPerTurn, count);
      const given = tokens.slice(at, end);
      const next = tokens.slice(at + 1, end + 1);
      // A turn is not cut short: it would have to be begun anew in both sequences.
      const compared = await turns.next(signal, () =>
        runJob(native.compare(given, next, measured, reference), signal),
      );
      divergences.push(...compared.divergences);
      sums.loss += sum(compared.losses);
      sums.reference += sum(compared.referenceLosses);
      sums.sameTop += compared.sameTop;
      const stats = native.stats();
      if (stats.sequences.at(-1)?.sequence === measured)
        cache = { bytes: stats.bytes, fp16Bytes: stats.fp16Bytes };
      at = end;
      onProgress(at / count);
    }
  } finally {
    for (const sequence of [measured, reference])
      await native.dropSequence(sequence).catch((error: unknown) => {
        if (!isCancellation(failureOf(error))) throw error;
      });
  }
  const sorted = divergences.sort((a, b) => a - b);
  return {
    tokens: count,
    perplexity: Math.exp(sums.loss / count),
    fp16Perplexity: Math.exp(sums.reference / count),
    divergence: sum(sorted) / count,
    divergence99: sorted[Math.floor(0.99 * (count - 1))] ?? 0,
    sameTop: sums.sameTop / count,
    ...cache,
  };
}
