/** What a model's cache is said to take before there is a model, against what the engine accounts for. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import type { CachePolicy } from '../../sidecar/engine/addon.ts';
import { readLocalHeader } from '../../sidecar/models/header.ts';
import { cacheBytes } from '../../sidecar/models/memory.ts';
import { parseSettings } from '../../sidecar/settings.ts';
import { codeTokens } from '../fixtures/corpus.ts';
import { bundledModel, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import { evaluate, withEngine } from './support/engine.ts';

const { cache: defaults } = parseSettings(undefined).settings;

const lengths = [1, 16, 17, 144, 272, 399, 400, 528, 1040, 1168, 1500];

async function compare(
  model: string,
  cache: CachePolicy & { tier?: 'int8' | 'int4' | 'k8v4' | 'fp8' },
) {
  const header = await readLocalHeader(model, new AbortController().signal);
  assert.ok(header.ok);
  const settings = { ...defaults, ...cache, window: cache.window ?? 0 };
  await withEngine(model, cache, async (engine) => {
    const tokens = await codeTokens(engine, lengths.at(-1) ?? 0);
    let held = 0;
    for (const length of lengths) {
      await evaluate(engine, tokens.subarray(held, length), 'last');
      held = length;
      assert.equal(
        cacheBytes(header.value, length, settings),
        engine.stats().bytes,
        `${length} tokens`,
      );
    }
  });
}

describe('the closed formula of the cache is the engine’s account', () => {
  for (const tier of ['int8', 'fp8', 'k8v4', 'int4'] as const) {
    it(`selective, ${tier}`, () => compare(bundledModel, { policy: 'selective', tier }));
  }
  it('full', () => compare(bundledModel, { policy: 'full' }));
  it('compressed', () => compare(bundledModel, { policy: 'compressed', sink: 4, window: 256 }));
  it('hierarchical', () =>
    compare(bundledModel, { policy: 'hierarchical', window: 256, span: 512 }));
  it('h2o', () => compare(bundledModel, { policy: 'h2o', tier: 'int8', keep: 0.5 }));
  it('importance, at a share that is no power of two', () =>
    compare(bundledModel, { policy: 'importance', tier: 'int4', keep: 0.7 }));
  it('h2o that keeps everything', () =>
    compare(bundledModel, { policy: 'h2o', tier: 'int8', keep: 1 }));
  it('heads of 128', () =>
    compare(modelFile(smallModels.qwen3), { policy: 'selective', tier: 'int4' }));
  it('heads of 80', () =>
    compare(modelFile(smallModels.llama), { policy: 'selective', tier: 'int4' }));
});
