import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { divergence, Predictions } from '../../../bench/divergence.ts';

const halves = Float32Array.of(0, 0);
const quarters = Float32Array.of(Math.log(3), 0);

describe('divergence', () => {
  it('is the Kullback-Leibler divergence in nats', () => {
    const { mean, max, sameTop } = divergence(halves, quarters, 2);
    const expected = 0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25);
    assert.ok(Math.abs(mean - expected) < 1e-7 && mean === max);
    assert.equal(sameTop, 1);
    assert.equal(divergence(Float32Array.of(0, 1), Float32Array.of(1, 0), 2).sameTop, 0);
  });
  it('ignores a constant and refuses what is not a number', () => {
    const shifted = quarters.map((logit) => logit + 50);
    assert.ok(divergence(quarters, shifted, 2).max < 1e-6);
    assert.throws(() => divergence(halves, Float32Array.of(Number.NaN, 0), 2), RangeError);
    assert.throws(() => divergence(halves, Float32Array.of(0, 0, 0), 2), RangeError);
    assert.throws(() => divergence(new Float32Array(), new Float32Array(), 2), RangeError);
  });
});

describe('predictions', () => {
  it('are the same in one piece and in many', () => {
    const reference = Float32Array.from({ length: 60 }, (_, index) => Math.sin(index));
    const other = reference.map((logit, index) => logit + 0.3 * Math.cos(3 * index));
    const tokens = Int32Array.from({ length: 12 }, (_, index) => (7 * index) % 5);
    const whole = new Predictions(5);
    whole.add(reference, other, tokens);
    const pieces = new Predictions(5);
    for (const [from, to] of [
      [0, 1],
      [1, 8],
      [8, 12],
    ] as const)
      pieces.add(
        reference.subarray(5 * from, 5 * to),
        other.subarray(5 * from, 5 * to),
        tokens.subarray(from, to),
      );
    assert.deepEqual(pieces.divergence(), whole.divergence());
    assert.deepEqual(pieces.perplexity(), whole.perplexity());
  });

  it('give a uniform guess the perplexity of the vocabulary', () => {
    const uniform = new Predictions(4);
    uniform.add(new Float32Array(12), new Float32Array(12), Int32Array.of(1, 2, 0));
    const { reference, other } = uniform.perplexity();
    assert.ok(Math.abs(reference - 4) < 1e-9);
    assert.equal(other, reference);
  });

  it('have a perplexity of the tokens that are known to follow', () => {
    const certain = new Predictions(2);
    certain.add(
      Float32Array.of(0, 0, 9, 9),
      Float32Array.of(Math.log(3), 0, 0, 50),
      Int32Array.of(1),
    );
    const { reference, other } = certain.perplexity();
    assert.ok(Math.abs(reference - 2) < 1e-6, `${reference}`);
    assert.ok(Math.abs(other - 4) < 1e-6, `${other}`);
  });
});
