import type { ProfiledStep } from '../engine/addon.ts';
import { phaseOf, type Phase } from './summary.ts';

/** What the cache held after a step. */
export interface GrowthPoint {
  readonly phase: Phase;
  readonly tokens: number;
  readonly bytes: number;
  /** What an FP16 cache of the same tokens takes. */
  readonly fp16Bytes: number;
  /** By tier, sink and window. */
  readonly tiers: Readonly<Record<string, number>>;
}

export const growthOf = (steps: readonly ProfiledStep[], promptTokens: number): GrowthPoint[] =>
  steps.map((step) => ({
    phase: phaseOf(step, promptTokens),
    tokens: step.first + step.tokens,
    bytes: step.tiers.reduce((sum, { bytes }) => sum + bytes, 0),
    fp16Bytes: step.fp16Bytes,
    tiers: Object.fromEntries(step.tiers.map(({ name, bytes }) => [name, bytes])),
  }));

/** At most so many points, evenly over the steps, the first and the last among them. */
export function sampled(points: readonly GrowthPoint[], most: number): GrowthPoint[] {
  if (points.length <= most) return [...points];
  const last = points.length - 1;
  return Array.from({ length: most }, (_, index) => Math.round((index * last) / (most - 1)))
    .map((index) => points[index])
    .filter((point) => point !== undefined);
}
