/** The fixtures themselves. */
import { strict as assert } from 'node:assert';
import fs from 'node:fs';
import { describe, it } from 'node:test';
import { bundledModel } from '../fixtures/models/generate.ts';
import { ggufPieces, readGguf } from '../fixtures/models/gguf.ts';
import { decodeQ8, encodeWeights, normal } from '../fixtures/models/weights.ts';

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
