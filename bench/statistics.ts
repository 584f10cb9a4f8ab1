/** What is made of many figures, besides what every evaluation needs. */
import { median, quantile } from '../sidecar/evaluation/statistics.ts';

/** Interquartile range over the median; 0 where all are the same. */
export function spread(values: readonly number[]): number {
  const range = quantile(values, 0.75) - quantile(values, 0.25);
  return range === 0 ? 0 : range / Math.abs(median(values));
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Line {
  readonly intercept: number;
  readonly slope: number;
  /** The largest distance of a point from the line, as a share of the point's own y. */
  readonly largestDeviation: number;
}

/**
 * The line that minimises the sum of squared relative errors, so that small values count as much as
 * large ones. All y must be positive, and two x at least must differ.
 */
export function fitLine(points: readonly Point[]): Line {
  let [weights, sumX, sumY, sumXX, sumXY] = [0, 0, 0, 0, 0];
  for (const { x, y } of points) {
    const weight = 1 / (y * y);
    weights += weight;
    sumX += weight * x;
    sumY += weight * y;
    sumXX += weight * x * x;
    sumXY += weight * x * y;
  }
  const slope = (weights * sumXY - sumX * sumY) / (weights * sumXX - sumX * sumX);
  const intercept = (sumY - slope * sumX) / weights;
  const deviations = points.map(({ x, y }) => Math.abs((intercept + slope * x) / y - 1));
  return { intercept, slope, largestDeviation: Math.max(...deviations) };
}
