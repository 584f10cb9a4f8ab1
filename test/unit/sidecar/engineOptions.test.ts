import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { engineOptionsOf } from '../../../sidecar/engineOptions.ts';
import { parseSettings } from '../../../sidecar/settings.ts';

const optionsFor = (cache: unknown) =>
  engineOptionsOf(parseSettings({ cache }).settings, '/bundled.gguf');

describe('engineOptionsOf', () => {
  it('gives a policy what it uses, and nothing else', () => {
    const all = {
      tier: 'int4',
      sink: 4,
      window: 512,
      span: 2048,
      keep: 0.25,
      weights: { attention: 1, recency: 0, kind: 0.5 },
    };
    const { tier, sink, window, span, keep, weights } = all;
    const expected = {
      full: {},
      auto: { sink, window },
      compressed: { sink, window },
      hierarchical: { sink, window, span },
      selective: { sink, window, tier },
      attention: { sink, window, tier },
      lowrank: { sink, window, tier },
      h2o: { sink, window, tier, keep },
      importance: { sink, window, tier, keep, weights },
    };
    for (const [policy, used] of Object.entries(expected)) {
      assert.deepEqual(optionsFor({ ...all, policy }).cache, { policy, ...used });
    }
  });

  it('leaves an automatic window to the engine', () => {
    assert.deepEqual(optionsFor({ policy: 'auto' }).cache, { policy: 'auto', sink: 16 });
  });

  it('counts the budget in bytes', () => {
    assert.equal(optionsFor({}).cacheBudgetBytes, 0);
    assert.equal(optionsFor({ budgetMiB: 3 }).cacheBudgetBytes, 3 * 1024 * 1024);
  });

  it('asks for a GPU unless told not to', () => {
    const gpuFor = (use: string) =>
      engineOptionsOf(parseSettings({ gpu: { use } }).settings, '/bundled.gguf').gpu;
    assert.equal(gpuFor('off'), undefined);
    assert.equal(gpuFor('required')?.required, true);
    assert.notEqual(gpuFor('auto')?.required, true);
  });

  it('checks what is not FP16 throughout, unless told not to', () => {
    assert.equal(optionsFor({}).selfCheck, true);
    assert.equal(optionsFor({ policy: 'full' }).selfCheck, false);
    assert.equal(optionsFor({ selfCheck: false }).selfCheck, false);
  });
});
