/** The addon, and what is above it, on an emulated GPU: sizes are small, since every thread of it is run in turn. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { measureGpu } from '../../bench/gpuSpeed.ts';
import { anyTokens, loadEngine, ours, stock } from '../../bench/engine.ts';
import { Predictions } from '../../bench/divergence.ts';
import type { Row } from '../../bench/harness.ts';
import type { CacheOptions } from '../../sidecar/engine/addon.ts';
import { failureOf } from '../../sidecar/engine/failure.ts';
import { loadAddon, type LoadedAddon } from '../../sidecar/engine/load.ts';
import { buildEmulatedAddon } from '../../scripts/build.mjs';
import { bundledModel } from '../fixtures/models/generate.ts';

const skip = process.platform === 'win32' && 'no emulator';
const gpu = { required: true, layers: 0, backends: [], toolkitFolders: [] };

describe('the addon on an emulated GPU', { skip }, () => {
  let loaded: LoadedAddon;
  before(async () => {
    const found = loadAddon(await buildEmulatedAddon());
    assert.ok(found.ok, JSON.stringify(found));
    loaded = found.value;
  });

  const load = (cache: CacheOptions, where = {}): ReturnType<typeof loadEngine> =>
    loadEngine(
      { modelPath: bundledModel, cache, threads: 1, contextTokens: 512, ...where },
      loaded,
    );

  it('describes the GPU', async () => {
    const seen = await loaded.addon.gpu();
    assert.equal(seen.name, 'emulated');
    assert.equal(seen.capability, '8.0');
    assert.ok(seen.freeBytes <= seen.totalBytes);
  });

  it('completes, cuts and completes again as on the CPU', async () => {
    const cache = { policy: 'selective', tier: 'k8v4', window: 64 } as const;
    const onGpu = await load(cache, { gpu });
    const onCpu = await load(cache);
    try {
      assert.equal(onGpu.info.kernels, 'cuda');
      assert.equal(onGpu.info.gpu?.name, 'emulated');
      assert.equal(onCpu.info.gpu, undefined);
      const tokens = anyTokens(300);
      const request = {
        tokens,
        maxTokens: 4,
        sampling: { temperature: 0, topK: 0, topP: 1, minP: 0, seed: 1 },
        stopTokens: new Int32Array(),
      };
      const [first, expected] = await Promise.all(
        [onGpu, onCpu].map((engine) => engine.complete(request, () => undefined).result),
      );
      assert.equal(first?.prefilledTokens, expected?.prefilledTokens);
      assert.deepEqual(onGpu.stats().tiers, onCpu.stats().tiers);
      for (const [length, rollback] of [
        [200, 'exact'],
        [100, 'reopen'],
      ] as const) {
        const kept = await onCpu.truncate(length, rollback);
        assert.equal(await onGpu.truncate(length, rollback), kept);
        assert.equal(kept, length);
        assert.deepEqual(onGpu.stats().tiers, onCpu.stats().tiers);
      }
      assert.ok(onGpu.stats().degradedTokens > 0);
      const more = tokens.subarray(0, 20);
      const predictions = new Predictions(onCpu.info.vocabulary);
      predictions.add(
        await onCpu.evaluate(more, 'all').result,
        await onGpu.evaluate(more, 'all').result,
      );
      assert.ok(predictions.divergence().mean < 1e-2, String(predictions.divergence().mean));
    } finally {
      await onGpu.close();
      await onCpu.close();
    }
  });

  for (const layers of [0, 2])
    it(`stops where it is told to and goes on from what it had, ${layers || 'all'} layers on the GPU`, async () => {
      const engine = await load({ policy: 'selective' }, { gpu: { ...gpu, layers } });
      assert.equal(engine.info.gpuLayers, layers || engine.info.layers);
      try {
        const tokens = anyTokens(400);
        for (const delay of [0, 5, 50]) {
          await engine.truncate(0);
          await engine.evaluate(tokens.subarray(0, 50), 'last').result;
          const job = engine.evaluate(tokens.subarray(50), 'last');
          const outcome = job.result.then(
            () => 'done',
            (error: unknown) => failureOf(error).code,
          );
          await sleep(delay);
          job.abort();
          const how = await outcome;
          assert.ok(how === 'done' || how === 'ABORTED', how);
          assert.equal(engine.stats().tokens, how === 'done' ? 400 : 50);
        }
        await engine.truncate(0);
        await engine.evaluate(tokens.subarray(0, 100), 'last').result;
        assert.equal(engine.stats().tokens, 100);
      } finally {
        await engine.close();
      }
    });

  it('is measured by bench:gpu', async () => {
    const rows: Row[] = [];
    const selected = /check|int8.*q8_0/;
    for await (const row of measureGpu({
      loaded,
      gpu,
      modelPath: bundledModel,
      depths: [0, 192, 100_000],
      decode: { tokens: 4, turn: 2, batch: 1 },
      prefill: { tokens: 64, turn: 64, batch: 32 },
      rounds: 1,
      checkedTokens: 256,
      selects: (name) => selected.test(name),
    }))
      rows.push(row);
    const baseline = 'llama.cpp q8_0 fa=on';
    assert.ok(stock.has(baseline));
    assert.deepEqual(
      rows.map((row) => row.case),
      [
        ...[...ours.keys()].map((name) => `gpu/check/${name}`),
        // What is deeper than the model was trained for is left out.
        ...[0, 192].flatMap((depth) =>
          ['decode', 'prefill'].map(
            (kind) => `gpu/${kind}/int8/depth=${depth}/baseline=${baseline}`,
          ),
        ),
      ],
    );
    for (const row of rows) assert.ok(row.value > 0, row.case);
    for (const { value, must } of rows.slice(0, ours.size)) assert.ok(value < (must ?? 0));
  });
});
