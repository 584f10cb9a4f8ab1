import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import { decodeSeconds, gpus, splitsFor } from '../../../bench/gpuModel.ts';

const work = { kvHeads: 8, blocks: 256, sharedBytes: 44 * 1024 };

describe('the model of a GPU', () => {
  for (const gpu of gpus)
    it(`never has the ${gpu.name} faster than its memory, and gives every split a block a warp`, () => {
      const bytes = 8e6;
      const floor = (bytes * work.kvHeads) / gpu.bytesPerSecond;
      assert.ok(decodeSeconds(gpu, work, bytes) > floor);
      assert.ok(decodeSeconds(gpu, work, bytes / 2) < decodeSeconds(gpu, work, bytes));
      const splits = splitsFor(gpu, work);
      assert.ok(splits >= 1 && splits <= work.blocks / 4);
      // A cache of one block cannot be split.
      assert.equal(splitsFor(gpu, { ...work, blocks: 1 }), 1);
    });

  it('charges for warps that wait: of four warps, 5 blocks take as long as 8', () => {
    const [gpu] = gpus;
    assert.ok(gpu !== undefined);
    const seconds = (blocks: number): number => {
      const one = { ...work, kvHeads: 1000, blocks };
      return (decodeSeconds(gpu, one, blocks * 1e5) - 3e-6) / blocks;
    };
    assert.ok(Math.abs((seconds(5) * 5) / (seconds(8) * 8) - 1) < 1e-9);
  });
});
