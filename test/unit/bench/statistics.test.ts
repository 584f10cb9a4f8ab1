import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitLine, spread } from '../../../bench/statistics.ts';
import { median, quantile } from '../../../sidecar/evaluation/statistics.ts';

const near = (actual: number, expected: number): void => {
  assert.ok(Math.abs(actual - expected) < 1e-9 * Math.max(1, Math.abs(expected)), `${actual}`);
};

describe('quantile', () => {
  const values = [40, 10, 30, 20];
  it('interpolates between the neighbours, whatever the order', () => {
    near(quantile(values, 0.25), 17.5);
    near(median(values), 25);
    near(median([3, 1, 2]), 2);
  });
  it('has the least and the greatest at its ends', () => {
    assert.equal(quantile(values, 0), 10);
    assert.equal(quantile(values, 1), 40);
    assert.equal(quantile([7], 0.999), 7);
  });
  it('of nothing is not a number', () => {
    assert.ok(Number.isNaN(quantile([], 0.5)));
  });
});

describe('spread', () => {
  it('is the interquartile range over the median', () => {
    near(spread([10, 20, 30, 40]), (32.5 - 17.5) / 25);
    near(spread([-10, -20, -30, -40]), 15 / 25);
  });
  it('is nothing where all are the same', () => {
    assert.equal(spread([5, 5]), 0);
    assert.equal(spread([0]), 0);
  });
});

describe('a fitted line', () => {
  const depths = [1024, 2048, 4096, 8192, 16_384, 32_768];
  const fitOf = (cost: (depth: number) => number) =>
    fitLine(depths.map((x) => ({ x, y: cost(x) })));
  const linear = (depth: number): number => 0.02 + 1.5e-6 * depth;

  it('goes through points that lie on one', () => {
    const { intercept, slope, largestDeviation } = fitOf(linear);
    near(intercept, 0.02);
    near(slope, 1.5e-6);
    near(largestDeviation, 0);
  });
  it('stays near points with a little noise', () => {
    const noise = [1.03, 0.98, 1.02, 0.97, 1.01, 0.99];
    const noisy = fitOf((depth) => linear(depth) * (noise[depths.indexOf(depth)] ?? 1));
    assert.ok(noisy.largestDeviation < 0.05, `${noisy.largestDeviation}`);
  });
  it('weighs every point by its own size', () => {
    const { largestDeviation } = fitOf((depth) => linear(depth) * (depth === 1024 ? 1.3 : 1));
    assert.ok(largestDeviation > 0.1, `${largestDeviation}`);
  });
  it('is far from a quadratic, a cliff and a bend', () => {
    const deviations = [
      fitOf((depth) => 0.02 + 0.05 * (depth / 32_768) ** 2),
      fitOf((depth) => linear(depth) + (depth > 10_000 ? 0.03 : 0)),
      fitOf((depth) => linear(depth) + 1.5 * Math.max(0, linear(depth) - linear(8192))),
    ].map((line) => line.largestDeviation);
    for (const deviation of deviations) assert.ok(deviation > 0.1, deviations.join(', '));
  });
});
