/** What the tiers and the policies keep of the predictions, and what they take. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import type { CachePolicy, NativeEngine } from '../../sidecar/engine/addon.ts';
import { describeDivergence, Predictions } from '../../bench/divergence.ts';
import { codeTokens } from '../fixtures/corpus.ts';
import { bundledModelInF32, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import {
  evaluate,
  full,
  load,
  loadOptions,
  rejectsWith,
  withEngine,
  type CacheOptions,
} from './support/engine.ts';

const model = bundledModelInF32();

/** Predictions of `full` over code: many caches are compared with the same ones. */
const references = new Map<string, Promise<Float32Array>>();

function referenceOf(path: string, count: number): Promise<Float32Array> {
  const key = `${count} ${path}`;
  const known = references.get(key);
  if (known !== undefined) return known;
  const logits = withEngine(path, full, async (engine) =>
    evaluate(engine, await codeTokens(engine, count), 'all'),
  );
  references.set(key, logits);
  return logits;
}

/** Predictions of a cache against those of `full` over the same code. */
async function compare(path: string, cache: CacheOptions, count: number) {
  const exact = await referenceOf(path, count);
  return withEngine(path, cache, async (engine) => {
    const tokens = await codeTokens(engine, count);
    const predictions = new Predictions(engine.info.vocabulary);
    predictions.add(exact, await evaluate(engine, tokens, 'all'), tokens.subarray(1));
    const { reference: before, other: after } = predictions.perplexity();
    const stats = engine.stats();
    return { ...predictions.divergence(), perplexityChange: after / before - 1, stats };
  });
}

const tokensIn = (engine: NativeEngine, name: string): number =>
  engine.stats().tiers.find((tier) => tier.name === name)?.tokens ?? 0;

describe('tiers', () => {
  // Four times what was measured; the order is the one of their bits.
  const bounds = { int8: 1e-5, fp8: 1e-3, k8v4: 4e-4, int4: 1.5e-3, k4v2: 6e-3 } as const;
  for (const [tier, mean] of Object.entries(bounds) as [keyof typeof bounds, number][])
    it(`${tier} keeps the predictions within its bound`, async (test) => {
      const cache = { policy: 'selective', tier, window: 256 } as const;
      const measured = await compare(model, cache, 3000);
      test.diagnostic(describeDivergence(measured));
      assert.ok(measured.mean < mean, `${measured.mean}`);
      assert.ok(measured.mean > 1e-8, 'the tier is in use');
      assert.ok(Math.abs(measured.perplexityChange) < 0.02);
      assert.ok(measured.stats.bytes < 0.62 * measured.stats.fp16Bytes);
    });

  it('keys and values are set apart', async () => {
    const keys = await compare(
      model,
      { policy: 'selective', tier: { k: 'int4', v: 'fp16' }, window: 0 },
      1200,
    );
    const values = await compare(
      model,
      { policy: 'selective', tier: { k: 'fp16', v: 'int4' }, window: 0 },
      1200,
    );
    assert.ok(keys.mean > values.mean, 'keys matter more than values');
    assert.ok(keys.stats.tiers.some(({ name }) => name === 'int4-fp16'));
    assert.ok(values.stats.tiers.some(({ name }) => name === 'fp16-int4'));
  });

  it('a layer of its own takes other bytes', async () => {
    const base = { policy: 'selective', tier: 'int4', window: 0 } as const;
    const plain = await compare(model, base, 1200);
    const finer = await compare(model, { ...base, layers: [{ layer: 0, k: 'int8' }] }, 1200);
    assert.ok(finer.stats.bytes > plain.stats.bytes);
  });
});

describe('key biases of 30 times the median norm, in the first and the last layer', () => {
  const path = modelFile(smallModels.qwen2Outliers);
  const last = smallModels.qwen2Outliers.layers - 1;

  it('are found at load, and these layers keep keys of 8 bits', async () => {
    await withEngine(path, { policy: 'selective', tier: 'int4' }, async (engine) => {
      assert.deepEqual(engine.stats().biasedLayers, [0, last]);
      await Promise.resolve();
    });
    await withEngine(modelFile(smallModels.qwen2), { policy: 'selective' }, async (engine) => {
      assert.deepEqual(engine.stats().biasedLayers, []);
      await Promise.resolve();
    });
  });

  it('spoil 4-bit keys quantised by token, and ours hold them even without that guard', async (test) => {
    const stock = { policy: 'stock', type: 'q4_0', flashAttention: true } as const;
    const byToken = await compare(path, stock, 2048);
    const forced = [0, last].map((layer) => ({ layer, k: 'int4' }) as const);
    const ours = await compare(
      path,
      { policy: 'selective', tier: { k: 'int4', v: 'fp16' }, window: 256, layers: forced },
      2048,
    );
    test.diagnostic(`by token (q4_0): ${describeDivergence(byToken)}`);
    test.diagnostic(`int4: ${describeDivergence(ours)}`);
    assert.ok(byToken.mean > 10 * ours.mean);
    assert.ok(ours.sameTop > byToken.sameTop + 0.2);
  });
});

describe('the self-check at load', () => {
  const checked = async (cache: CachePolicy) => {
    const engine = await load({ ...loadOptions(model, cache), selfCheck: true }).result;
    const { check, policy, tokens } = engine.stats();
    await engine.close();
    assert.equal(tokens, 0, 'leaves nothing behind');
    return { check, policy };
  };

  it('tells the divergence of a tier within the bound', async () => {
    const { check } = await checked({ policy: 'selective', tier: 'int8' });
    assert.ok(check);
    assert.equal(check.tier, 'int8');
    assert.ok(check.divergence > 0 && check.divergence < 1e-3);
    assert.ok(check.sameTop > 0.95);
  });

  it('raises the bits of one that misses it', async () => {
    const { check, policy } = await checked({ policy: 'lowrank', rank: 8 });
    assert.ok(check);
    assert.equal(check.asked, 'lowrank-int8');
    assert.equal(check.tier, 'int8');
    assert.equal(policy, 'selective');
    assert.ok(check.divergence < check.bound);
  });

  it('has nothing to check where nothing is quantised', async () => {
    assert.equal((await checked({ policy: 'full' })).check, undefined);
    assert.equal((await checked({ policy: 'compressed' })).check, undefined);
  });
});

describe('policies', () => {
  it('hierarchical holds old tokens in int8 and older ones in int4', async () => {
    await withEngine(model, { policy: 'hierarchical', window: 128, span: 1024 }, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 3000), 'last');
      assert.ok(tokensIn(engine, 'int4') >= 3000 - 1024 - 16 - 256);
      assert.ok(tokensIn(engine, 'int8') > 600);
      assert.ok(tokensIn(engine, 'window') < 256 + 128);
    });
  });

  it('compressed drops what has left the window', async () => {
    await withEngine(model, { policy: 'compressed', window: 512 }, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 3000), 'last');
      const { droppedTokens, bytes, fp16Bytes } = engine.stats();
      assert.ok(droppedTokens >= 3000 - 16 - 512 - 128);
      assert.ok(bytes < 0.3 * fp16Bytes);
    });
  });

  let dropping: ReturnType<typeof compare> | undefined;
  const droppingAll = (): ReturnType<typeof compare> =>
    (dropping ??= compare(model, { policy: 'compressed', window: 256 }, 3000));
  for (const cache of [
    { policy: 'h2o', keep: 0.5 },
    { policy: 'importance', keep: 0.5 },
    { policy: 'attention', threshold: 0.5 },
  ] as const)
    it(`${cache.policy} keeps some of the tokens, and more of the predictions than dropping all`, async (test) => {
      const kept = await compare(model, { ...cache, window: 256 }, 3000);
      const none = await droppingAll();
      test.diagnostic(`${describeDivergence(kept)}, ${kept.stats.droppedTokens} dropped`);
      assert.ok(kept.stats.droppedTokens > 200 && kept.stats.droppedTokens < 2500);
      test.diagnostic(`dropping all: ${describeDivergence(none)}`);
      assert.ok(kept.mean < none.mean / 2);
      assert.ok(kept.perplexityChange < none.perplexityChange);
    });

  it('the state of one that decides by attention does not depend on the batches', async () => {
    const run = (chunk: number) =>
      withEngine(model, { policy: 'h2o', window: 128 }, async (engine) => {
        const tokens = await codeTokens(engine, 1216);
        await evaluate(engine, tokens.subarray(0, 1200), 'last', chunk);
        const { tiers, droppedTokens } = engine.stats();
        const logits = await evaluate(engine, tokens.subarray(1200), 'all');
        return { tiers, droppedTokens, logits };
      });
    const once = await run(1200);
    for (const chunk of [100, 37]) {
      const split = await run(chunk);
      assert.deepEqual(split.tiers, once.tiers);
      assert.equal(split.droppedTokens, once.droppedTokens);
      const largest = split.logits.reduce(
        (most, logit, i) => Math.max(most, Math.abs(logit - (once.logits[i] ?? Number.NaN))),
        0,
      );
      assert.ok(largest < 0.05, `${largest}`);
    }
  });

  it('lowrank holds keys of full rank as they are, and fewer ranks cost more', async (test) => {
    const cost = async (rank: number) => {
      const measured = await compare(model, { policy: 'lowrank', rank, window: 256 }, 1500);
      test.diagnostic(`rank ${rank}: ${describeDivergence(measured)}`);
      return measured.mean;
    };
    const [whole, half, quarter] = [await cost(64), await cost(32), await cost(16)];
    assert.ok(whole < 1e-4);
    assert.ok(half > whole && quarter > half);
  });

  it('auto keeps to its budget by lowering the oldest first, and drops nothing', async () => {
    const budget = 6.5 * 2 ** 20;
    const options = loadOptions(model, { policy: 'auto', window: 128 });
    const engine = await load({ ...options, cacheBudgetBytes: budget }).result;
    try {
      const tokens = await codeTokens(engine, 6000);
      const seen = new Set<string>();
      for (let at = 0; at < tokens.length; at += 500) {
        await engine.evaluate(tokens.subarray(at, at + 500), 'last').result;
        const { bytes, tiers, droppedTokens } = engine.stats();
        assert.ok(bytes <= budget);
        assert.equal(droppedTokens, 0);
        for (const { name } of tiers) seen.add(name);
      }
      assert.ok(seen.has('int8') && seen.has('k8v4'), [...seen].join(' '));
      assert.equal(engine.stats().tokens, 6000);
    } finally {
      await engine.close();
    }
  });

  it('auto refuses a budget without room for its window when it is loaded', async () => {
    const options = loadOptions(model, { policy: 'auto', window: 896 });
    await rejectsWith(
      ['CACHE_EXHAUSTED'],
      () => load({ ...options, cacheBudgetBytes: 2 ** 20 }).result,
    );
    const roomy = await load({ ...options, cacheBudgetBytes: 64 * 2 ** 20 }).result;
    await roomy.close();
  });
});

describe('rollback into a quantised block', () => {
  it('keeps the tokens before it, or reopens it as degraded', async () => {
    await withEngine(model, { policy: 'selective', window: 0 }, async (engine) => {
      const tokens = await codeTokens(engine, 1000);
      await evaluate(engine, tokens, 'last');
      assert.equal(await engine.truncate(700, 'reopen'), 700);
      assert.equal(engine.stats().degradedTokens, 700 - 656);
      await evaluate(engine, tokens.subarray(700), 'last');
      assert.equal(engine.stats().degradedTokens, 0, 'coded again');
      assert.equal(await engine.truncate(700, 'exact'), 656);
    });
  });
});
