import type { Completion } from './completion/complete.ts';
import type { LoadedModel } from './engine/engine.ts';
import { sequenceName } from './engine/sequences.ts';
import type { CacheStats } from './protocol.ts';

/** What completions add to the cache's account. */
export type CompletionStats = Pick<
  CacheStats,
  'inSight' | 'prefillTokensPerSecond' | 'decodeTokensPerSecond'
>;

/** The cache's account as clients see it. Throws CLOSED where the model was closed meanwhile. */
export function cacheStats(
  { native, recalledCheck }: LoadedModel,
  policy: CacheStats['policy'],
  latest: CompletionStats,
): CacheStats {
  const recalled = recalledCheck === undefined ? {} : { check: recalledCheck };
  const { sharedBytes, ...stats } = native.stats();
  const sequences = stats.sequences.flatMap(({ sequence, tokens, bytes }) => {
    const name = sequenceName(sequence);
    // Only these two have a start in common.
    return name === undefined ? [] : [{ name, tokens, bytes, sharedBytes }];
  });
  return { ...recalled, ...stats, sequences, policy, ...latest };
}

export function completionStats({ inSight, result }: Completion): CompletionStats {
  const prefill = rate(result.prefilledTokens, result.prefillSeconds);
  const decode = rate(result.tokens.length, result.decodeSeconds);
  return {
    inSight,
    ...(prefill === undefined ? {} : { prefillTokensPerSecond: prefill }),
    ...(decode === undefined ? {} : { decodeTokensPerSecond: decode }),
  };
}

/** Tokens per second; undefined where nothing was done. */
export const rate = (tokens: number, seconds: number): number | undefined =>
  tokens > 0 && seconds > 0 ? tokens / seconds : undefined;
