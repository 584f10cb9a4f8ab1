/** The account of the cache against itself, against FP16, and against the process. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import type { CacheStats } from '../../sidecar/engine/addon.ts';
import { bundledModel, modelFile } from '../fixtures/models/generate.ts';
import { longContextModel, smallModels, wideCacheModel } from '../fixtures/models/specs.ts';
import { codeTokens } from '../fixtures/corpus.ts';
import { runChild } from './support/child.ts';
import {
  evaluate,
  full,
  load,
  loadOptions,
  rejectsWith,
  selective,
  withEngine,
} from './support/engine.ts';

function assertAddsUp(stats: CacheStats, tokens: number): void {
  const sum = (of: 'tokens' | 'bytes'): number =>
    stats.tiers
      .filter(({ name }) => of === 'bytes' || name !== 'passthrough')
      .reduce((total, tier) => total + tier[of], 0);
  assert.equal(stats.tokens, tokens);
  assert.equal(sum('tokens'), tokens, 'tokens by tier');
  assert.equal(sum('bytes'), stats.bytes, 'bytes by tier');
  assert.ok(stats.reservedBytes >= stats.bytes);
}

describe('bytes by tier', () => {
  for (const cache of [full, selective])
    it(`add up at every length, policy ${cache.policy}`, async () => {
      await withEngine(bundledModel, cache, async (engine) => {
        const tokens = await codeTokens(engine, 1024);
        const lengths = [1, 15, 16, 17, 128, 271, 272, 273, 399, 400, 401, 528, 1024];
        let held = 0;
        assertAddsUp(engine.stats(), 0);
        for (const length of lengths) {
          await evaluate(engine, tokens.subarray(held, length), 'last');
          held = length;
          assertAddsUp(engine.stats(), length);
        }
        for (const cut of [1000, 500, 272, 16, 0]) {
          const kept = await engine.truncate(cut);
          assertAddsUp(engine.stats(), kept);
        }
      });
    });

  it('count the layers left to llama.cpp', async () => {
    await withEngine(modelFile(smallModels.gemma3), selective, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 600), 'last');
      const stats = engine.stats();
      assertAddsUp(stats, 600);
      const passthrough = stats.tiers.find(({ name }) => name === 'passthrough');
      assert.ok(passthrough && passthrough.bytes > 0);
    });
  });

  it('are those of FP16 where the policy is full', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 1024), 'last');
      const { bytes, fp16Bytes } = engine.stats();
      // K and V of 4 layers, 2 heads of 64, 2 bytes each.
      assert.equal(fp16Bytes, 1024 * 2 * 4 * 2 * 64 * 2);
      assert.ok(bytes >= fp16Bytes && bytes < 1.02 * fp16Bytes, `${bytes} for ${fp16Bytes}`);
    });
  });

  it('are a good half of FP16 where the policy is selective', async (test) => {
    await withEngine(modelFile(longContextModel), selective, async (engine) => {
      const tokens = await codeTokens(engine, 8192);
      for (const { length, ratio } of [
        { length: 4096, ratio: 1.75 },
        { length: 16_384, ratio: 1.85 },
      ]) {
        while (engine.stats().tokens < length)
          await evaluate(engine, tokens.subarray(0, 4096), 'last');
        const { bytes, fp16Bytes } = engine.stats();
        test.diagnostic(
          `${length} tokens: ${fp16Bytes} / ${bytes} = ${(fp16Bytes / bytes).toFixed(3)}`,
        );
        assert.ok(fp16Bytes / bytes >= ratio);
      }
    });
  });
});

describe('memory of the process', () => {
  for (const cache of [full, selective])
    it(`grows by what the cache says it uses and has reserved, policy ${cache.policy}`, (test) => {
      const child = runChild('resident-growth', [modelFile(wideCacheModel), JSON.stringify(cache)]);
      const {
        residentBytes = 0,
        usedBytes = 0,
        reservedBytes = 0,
      } = JSON.parse(child.stdout) as Record<string, number>;
      test.diagnostic(`resident ${residentBytes}, used ${usedBytes}, reserved ${reservedBytes}`);
      assert.ok(usedBytes > 100e6, 'enough to stand out from the noise');
      // What of a slab was never handed out is reserved, and takes no memory yet.
      assert.ok(residentBytes > 0.95 * usedBytes && residentBytes < 1.05 * reservedBytes);
      assert.ok(reservedBytes < 1.3 * usedBytes);
    });

  it('does not grow over loads and closes', (test) => {
    const child = runChild('repeated-loads', [bundledModel]);
    const { grownBytes } = JSON.parse(child.stdout) as Record<string, number>;
    test.diagnostic(`20 loads: ${grownBytes} bytes`);
    assert.ok(grownBytes !== undefined && grownBytes < 16e6);
  });
});

describe('a bound on the cache', () => {
  it('rejects what goes beyond it and keeps what is there', async () => {
    const options = { ...loadOptions(bundledModel, full), cacheBudgetBytes: 1 << 20 };
    const engine = await load(options).result;
    try {
      // 2 KiB a token: room for 512.
      const tokens = await codeTokens(engine, 1024);
      await evaluate(engine, tokens.subarray(0, 256), 'last');
      await rejectsWith(['CACHE_EXHAUSTED'], () => evaluate(engine, tokens.subarray(256), 'last'));
      const kept = await engine.truncate(256);
      assert.equal(kept, 256);
      await evaluate(engine, tokens.subarray(256, 320), 'last');
      assertAddsUp(engine.stats(), 320);
      assert.ok(engine.stats().bytes <= 1 << 20);
    } finally {
      await engine.close();
    }
  });

  it('can be set anew at any time', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const tokens = await codeTokens(engine, 1024);
      await evaluate(engine, tokens.subarray(0, 800), 'last');
      await engine.setCacheBudget(1 << 20);
      assertAddsUp(engine.stats(), 800);
      await rejectsWith(['CACHE_EXHAUSTED'], () => evaluate(engine, tokens.subarray(800), 'last'));
      await engine.truncate(256);
      await evaluate(engine, tokens.subarray(256, 320), 'last');
      assert.ok(engine.stats().bytes <= 1 << 20);
      await engine.setCacheBudget(0);
      await evaluate(engine, tokens.subarray(320), 'last');
      for (const bad of [-1, 0.5, Number.NaN, '1' as never])
        await rejectsWith(['BAD_ARGUMENT'], () => engine.setCacheBudget(bad));
    });
  });
});
