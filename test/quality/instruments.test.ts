/** The measuring instruments themselves: fixtures, divergence and ratios. */
import { strict as assert } from 'node:assert';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { rowOf, sampleInTurn } from '../../bench/harness.ts';
import { bundledModel } from '../fixtures/models/generate.ts';
import { ggufPieces, readGguf } from '../fixtures/models/gguf.ts';
import { decodeQ8, encodeWeights, normal } from '../fixtures/models/weights.ts';
import { divergence, perplexity } from './support/divergence.ts';

describe('GGUF', () => {
  it('comes out as it went in', () => {
    const bytes = fs.readFileSync(bundledModel);
    assert.ok(Buffer.concat([...ggufPieces(readGguf(bytes))]).equals(bytes));
  });
});

describe('weights', () => {
  const draw = (seed: string): Float32Array => {
    const next = normal(seed);
    return Float32Array.from({ length: 1 << 16 }, next);
  };
  it('are normal and depend on the seed alone', () => {
    const values = draw('a');
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    assert.ok(Math.abs(mean) < 0.02 && Math.abs(square - 1) < 0.03, `${mean}, ${square}`);
    assert.deepEqual(draw('a'), values);
    assert.notDeepEqual(draw('b'), values);
  });
  it('are rounded to the nearest half', () => {
    const numbers = [0, -0, 1, -2, 65504, 2 ** -24, 2 ** -25, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 1e-5];
    const halves = encodeWeights('f16', Float32Array.from(numbers));
    const expected = [0, 0x8000, 0x3c00, 0xc000, 0x7bff, 1, 0, 0x3c00, 0x3c02, 0xa8];
    assert.deepEqual([...new Uint16Array(halves.buffer)], expected);
    assert.throws(() => encodeWeights('f16', Float32Array.of(65520)), RangeError);
  });
  it('come back from q8_0 within half a step', () => {
    const values = draw('q8').subarray(0, 64);
    const decoded = decodeQ8(encodeWeights('q8_0', values));
    for (const [index, value] of values.entries())
      assert.ok(Math.abs((decoded[index] ?? Number.NaN) - value) < 4 / 127 / 1.9);
  });
});

describe('divergence', () => {
  const halves = Float32Array.of(0, 0);
  const quarters = Float32Array.of(Math.log(3), 0);
  it('is the Kullback-Leibler divergence in nats', () => {
    const { mean, max, sameTop } = divergence(halves, quarters, 2);
    const expected = 0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25);
    assert.ok(Math.abs(mean - expected) < 1e-7 && mean === max);
    assert.equal(sameTop, 1);
    assert.equal(divergence(Float32Array.of(0, 1), Float32Array.of(1, 0), 2).sameTop, 0);
  });
  it('ignores a constant and refuses what is not a number', () => {
    assert.ok(
      divergence(
        quarters,
        quarters.map((logit) => logit + 50),
        2,
      ).max < 1e-6,
    );
    assert.throws(() => divergence(halves, Float32Array.of(Number.NaN, 0), 2), RangeError);
    assert.throws(() => divergence(halves, Float32Array.of(0, 0, 0), 2), RangeError);
  });
  it('gives a uniform guess the perplexity of the vocabulary', () => {
    const tokens = Int32Array.of(1, 2, 0);
    assert.ok(Math.abs(perplexity(new Float32Array(12), tokens, 4) - 4) < 1e-9);
  });
});

describe('ratios', () => {
  it('are above 1 where the baseline is worse, whichever way is better', () => {
    const baseline = { name: 'stock', samples: [10, 20, 40] };
    const faster = rowOf({ case: 'a', unit: 'tokens/s', better: 'higher' }, [20, 20, 60], baseline);
    assert.equal(faster.ratio, 1.5);
    assert.equal(faster.value, 20);
    assert.equal(faster.baseline?.value, 20);
    assert.ok(Math.abs(faster.spread - (1.75 - 1.25) / 1.5) < 1e-12);
    const smaller = rowOf({ case: 'a', unit: 's', better: 'lower' }, [5, 10, 20], baseline);
    assert.equal(smaller.ratio, 2);
  });
  it('come from samples in turn, the first round left out', async () => {
    const order: string[] = [];
    const sampler = (name: string) => () => Promise.resolve(order.push(name));
    const samples = await sampleInTurn(
      2,
      new Map([
        ['a', sampler('a')],
        ['b', sampler('b')],
      ]),
    );
    assert.equal(order.join(''), 'ababab');
    assert.deepEqual(
      [...samples.values()],
      [
        [3, 5],
        [4, 6],
      ],
    );
  });
});
