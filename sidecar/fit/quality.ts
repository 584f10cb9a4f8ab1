import { isDeepStrictEqual } from 'node:util';
import { cachePolicyOf } from '../engineOptions.ts';
import type { SightlineSettings } from '../protocol.ts';
import { parseSettings } from '../settings.ts';

/**
 * What caches cost, as far as it was measured. A test holds every figure to the committed results: after a run that changes
 * these, change them here.
 */

/** Against the same model with an FP16 cache, on the same text. */
export interface Quality {
  /** Length of the contexts that it was measured in. */
  readonly contextTokens: number;
  /** Percent of the tokens after which the likeliest next one is the same. */
  readonly sameTop: number;
  /** Percent; positive: worse. */
  readonly perplexityChange: number;
  /** Mean KL divergence in nats. */
  readonly divergence: number;
}

interface Measured extends Quality {
  readonly policy: SightlineSettings['cache']['policy'];
  /** Absent: the policy has tiers of its own. */
  readonly tier?: SightlineSettings['cache']['tier'];
}

export const qualitySource = {
  command: 'sightline eval',
  file: 'docs/results/eval/report.json',
  /** Of no other model anything is said. */
  model: 'sightline-tiny-code-q8_0.gguf',
} as const;

/** Same top, change of perplexity, divergence: to the digits that are shown. */
type Figures = readonly [number, number, number];

const measured = (
  cache: Pick<Measured, 'policy' | 'tier'>,
  at4096: Figures,
  at8192: Figures,
): Measured[] =>
  (
    [
      [4096, at4096],
      [8192, at8192],
    ] as const
  ).map(([contextTokens, [sameTop, perplexityChange, divergence]]) => ({
    ...cache,
    contextTokens,
    sameTop,
    perplexityChange,
    divergence,
  }));

/** By the length of the contexts, the shortest first, for each cache. */
export const measuredQualities: readonly Measured[] = [
  ...measured(
    { policy: 'selective', tier: 'int8' },
    [99.5, -0.021, 1.7e-4],
    [99.3, -0.007, 1.7e-4],
  ),
  ...measured(
    { policy: 'selective', tier: 'k8v4' },
    [99.4, -0.032, 2.1e-4],
    [99.2, -0.006, 2.2e-4],
  ),
  ...measured(
    { policy: 'selective', tier: 'int4' },
    [99.3, -0.016, 3.5e-4],
    [99.0, -0.062, 4.0e-4],
  ),
  ...measured({ policy: 'hierarchical' }, [99.5, -0.005, 1.6e-4], [99.2, -0.029, 2.4e-4]),
  ...measured({ policy: 'lowrank', tier: 'int8' }, [98.7, -0.103, 1.0e-3], [98.4, -0.192, 1.3e-3]),
  ...measured({ policy: 'attention', tier: 'int8' }, [99.3, 0.129, 9.2e-4], [99.2, 0.131, 1.2e-3]),
  ...measured({ policy: 'h2o', tier: 'int8' }, [94.6, 2.7, 2.9e-2], [94.5, 1.739, 2.7e-2]),
  ...measured({ policy: 'importance', tier: 'int8' }, [94.7, 2.309, 2.9e-2], [94.4, 1.035, 2.5e-2]),
  ...measured({ policy: 'compressed' }, [93.5, 1.31, 2.8e-2], [90.6, -0.03, 5.0e-2]),
];

/** All else of the cache was this. */
const { cache: usual } = parseSettings(undefined).settings;

/** What was measured in contexts of this length, or else in the longest that are shorter; undefined: nothing. */
export function qualityOf(
  cache: SightlineSettings['cache'],
  contextTokens: number,
): Quality | undefined {
  const { policy, tier } = cache;
  const likeUsual = cachePolicyOf({ ...usual, policy, tier });
  if (!isDeepStrictEqual(cachePolicyOf(cache), likeUsual)) return undefined;
  const found = measuredQualities.findLast(
    (one) =>
      one.policy === policy &&
      (one.tier === undefined || one.tier === tier) &&
      one.contextTokens <= contextTokens,
  );
  if (found === undefined) return undefined;
  const { sameTop, perplexityChange, divergence } = found;
  return { contextTokens: found.contextTokens, sameTop, perplexityChange, divergence };
}

/** How much faster int8 decodes than FP16, both ours. */
export const measuredSpeed = {
  command: 'npm run bench:decode',
  file: 'docs/results/decode-16384.json',
  ratio: 1.09,
  depth: 16_384,
  where: 'one thread of a CPU',
} as const;
