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
  readonly tier: SightlineSettings['cache']['tier'];
}

export const qualitySource = {
  command: 'npm run bench:quality',
  file: 'docs/results/quality.json',
  /** Of no other model anything is said. */
  model: 'sightline-tiny-code-q8_0.gguf',
} as const;

const selective = (
  tier: Measured['tier'],
  contextTokens: number,
  [sameTop, perplexityChange, divergence]: readonly [number, number, number],
): Measured => ({
  policy: 'selective',
  tier,
  contextTokens,
  sameTop,
  perplexityChange,
  divergence,
});

/** To the digits that are shown. By the length of the contexts, the shortest first. */
export const measuredQualities: readonly Measured[] = [
  selective('int8', 4096, [99.2, 0.006, 1.9e-4]),
  selective('k8v4', 4096, [99.1, 0.008, 2.4e-4]),
  selective('int4', 4096, [98.9, 0.041, 3.9e-4]),
  selective('int8', 8192, [99.2, 0.003, 1.9e-4]),
  selective('k8v4', 8192, [99.1, 0.014, 2.5e-4]),
  selective('int4', 8192, [98.9, -0.02, 4.5e-4]),
];

/** Sink and window were these. */
const { cache: measuredWith } = parseSettings(undefined).settings;

/** What was measured in contexts of this length, or else in the longest that are shorter; undefined: nothing. */
export function qualityOf(
  { policy, tier, sink, window }: SightlineSettings['cache'],
  contextTokens: number,
): Quality | undefined {
  if (sink !== measuredWith.sink || window !== measuredWith.window) return undefined;
  const found = measuredQualities.findLast(
    (one) => one.policy === policy && one.tier === tier && one.contextTokens <= contextTokens,
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
