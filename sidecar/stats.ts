import type { NativeEngine } from './engine/addon.ts';
import type { Completion } from './completion/complete.ts';
import type { CacheStats, SightlineSettings } from './protocol.ts';

/** The cache's account as clients see it. */
export function cacheStats(
  native: NativeEngine,
  policy: SightlineSettings['cache']['policy'],
  latest?: Completion,
): CacheStats {
  const stats = { ...native.stats(), policy };
  if (latest === undefined) return stats;
  const { prefilledTokens, prefillSeconds, tokens, decodeSeconds } = latest.result;
  const prefill = rate(prefilledTokens, prefillSeconds);
  const decode = rate(tokens.length, decodeSeconds);
  return {
    ...stats,
    inSight: latest.inSight,
    ...(prefill === undefined ? {} : { prefillTokensPerSecond: prefill }),
    ...(decode === undefined ? {} : { decodeTokensPerSecond: decode }),
  };
}

/** Tokens per second; undefined where nothing was done. */
export const rate = (tokens: number, seconds: number): number | undefined =>
  tokens > 0 && seconds > 0 ? tokens / seconds : undefined;
