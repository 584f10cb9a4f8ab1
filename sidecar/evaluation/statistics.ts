import { uniformStream } from './random.ts';

// NaN where there are no values.

export const sum = (values: Iterable<number>): number => {
  let all = 0;
  for (const value of values) all += value;
  return all;
};

export const mean = (values: readonly number[]): number => sum(values) / values.length;

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Interpolated between the neighbours; `share` from 0 to 1. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (position - Math.floor(position)) * (above - below);
}

/** A figure with the interval it lies in with 95 % confidence. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * What `figure` makes of the samples, with its interval by bootstrap over them (percentiles of 2 000 draws with replacement;
 * Efron and Tibshirani 1993, chapter 13). Where samples are pairs the interval is that of the pairs. Always the same.
 */
export function bootstrap<T>(
  samples: readonly T[],
  figure: (samples: readonly T[]) => number,
): Estimate {
  const next = uniformStream('bootstrap');
  const drawn = Array.from({ length: 2000 }, () =>
    figure(samples.map((own) => samples[Math.floor(next() * samples.length)] ?? own)),
  );
  return { value: figure(samples), low: quantile(drawn, 0.025), high: quantile(drawn, 0.975) };
}
