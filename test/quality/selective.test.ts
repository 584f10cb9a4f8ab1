/** What quantising older tokens costs, and that the cache's state is a function of its tokens. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import { bundledModel, bundledModelInF32, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import { codeTokens } from '../fixtures/corpus.ts';
import { describeDivergence, divergence, Predictions } from '../../bench/divergence.ts';
import { blockTokens, evaluate, full, selective, withEngine } from './support/engine.ts';

describe('selective against full', () => {
  for (const { name, path, ...bounds } of [
    // With q8_0 weights most of it is llama.cpp's rounding of activations: see `bundledModelInF32`.
    { name: 'as shipped', path: bundledModel, mean: 4e-4, sameTop: 0.99, perplexityChange: 1e-3 },
    {
      name: 'in f32',
      path: bundledModelInF32(),
      mean: 1e-5,
      sameTop: 0.998,
      perplexityChange: 2e-4,
    },
  ])
    it(`predicts nearly the same over 4608 tokens of code, the bundled model ${name}`, async (test) => {
      await withEngine(path, full, (reference) =>
        withEngine(path, selective, async (engine) => {
          const { vocabulary } = engine.info;
          const tokens = await codeTokens(engine, 4608);
          const exact = await evaluate(reference, tokens, 'all');
          const quantised = await evaluate(engine, tokens, 'all');
          const predictions = new Predictions(vocabulary);
          predictions.add(exact, quantised, tokens.subarray(1));
          const measured = predictions.divergence();
          const { reference: before, other: after } = predictions.perplexity();
          const change = after / before - 1;
          test.diagnostic(describeDivergence(measured));
          test.diagnostic(
            `perplexity ${before.toFixed(4)} -> ${after.toFixed(4)} (${(100 * change).toFixed(3)} %)`,
          );
          assert.ok(
            engine.stats().tiers.some((tier) => tier.name === 'int8' && tier.tokens > 4000),
          );
          assert.ok(measured.mean < bounds.mean);
          assert.ok(measured.sameTop >= bounds.sameTop);
          assert.ok(Math.abs(change) < bounds.perplexityChange);
        }),
      );
    });

  it('holds keys with outlier channels', async (test) => {
    const path = modelFile(smallModels.qwen2Outliers);
    await withEngine(path, full, (reference) =>
      withEngine(path, selective, async (engine) => {
        const tokens = await codeTokens(engine, 2048);
        const measured = divergence(
          await evaluate(reference, tokens, 'all'),
          await evaluate(engine, tokens, 'all'),
          engine.info.vocabulary,
        );
        test.diagnostic(describeDivergence(measured));
        assert.ok(measured.mean < 1.5e-4);
        assert.ok(measured.sameTop >= 0.98);
      }),
    );
  });
});

describe('the state of the cache', () => {
  it('does not depend on how a prompt was split into batches', async (test) => {
    const path = bundledModelInF32();
    const run = async (chunk: number) =>
      withEngine(path, selective, async (engine) => {
        const tokens = await codeTokens(engine, 1216);
        await evaluate(engine, tokens.subarray(0, 1200), 'last', chunk);
        const { tiers, bytes } = engine.stats();
        return { tiers, bytes, logits: await evaluate(engine, tokens.subarray(1200), 'all') };
      });
    const whole = await run(512);
    const vocabulary = whole.logits.length / 16;
    for (const chunk of [1200, 128, 100, 7, 1]) {
      const split = await run(chunk);
      assert.deepEqual(split.tiers, whole.tiers, `tiers in chunks of ${chunk}`);
      assert.equal(split.bytes, whole.bytes);
      const measured = divergence(whole.logits, split.logits, vocabulary);
      test.diagnostic(`chunks of ${chunk}: ${describeDivergence(measured)}`);
      assert.ok(measured.max < 1e-6, `chunks of ${chunk}: ${describeDivergence(measured)}`);
    }
  });
});

describe('rollback', () => {
  for (const cache of [full, selective])
    it(`within the FP16 window leaves no trace, policy ${cache.policy}`, async () => {
      await withEngine(bundledModel, cache, async (engine) => {
        const tokens = await codeTokens(engine, 1032);
        const prompt = tokens.subarray(0, 1000);
        const next = tokens.subarray(1000);
        await evaluate(engine, prompt, 'last');
        const expected = await evaluate(engine, next, 'all');
        await engine.truncate(0);

        await evaluate(engine, prompt, 'last');
        const before = engine.stats();
        await evaluate(engine, await codeTokens(engine, 20, 5000), 'last');
        assert.deepEqual(int8Tokens(engine.stats()), int8Tokens(before), 'no block was quantised');
        assert.equal(await engine.truncate(1000), 1000);
        assert.deepEqual(engine.stats().tiers, before.tiers);
        assert.equal(engine.stats().bytes, before.bytes);
        assertSameBits(await evaluate(engine, next, 'all'), expected);
      });
    });

  it('anywhere in an FP16 cache leaves no trace', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const tokens = await codeTokens(engine, 1536);
      const expected = await evaluate(engine, tokens, 'all');
      for (const kept of [512, 1024]) {
        assert.equal(await engine.truncate(kept), kept);
        const again = await evaluate(engine, tokens.subarray(kept), 'all');
        assertSameBits(again, expected.subarray(kept * engine.info.vocabulary));
      }
    });
  });

  it('into quantised blocks goes back to where a block starts', async (test) => {
    await withEngine(bundledModelInF32(), selective, async (engine) => {
      const { vocabulary } = engine.info;
      const tokens = await codeTokens(engine, 1600);
      const expected = await evaluate(engine, tokens, 'all');
      const { tiers } = engine.stats();
      const boundary = selective.sink + 5 * blockTokens;
      for (const cut of [boundary + 127, boundary + 1, boundary, 300, selective.sink, 3]) {
        const kept = await engine.truncate(cut);
        assert.ok(kept <= cut && cut - kept < blockTokens, `${cut} -> ${kept}`);
        if (cut === boundary || cut <= selective.sink) assert.equal(kept, cut);
        const after = engine.stats();
        assert.equal(after.tokens, kept);
        assert.equal(sumBytes(after), after.bytes);
        const again = await evaluate(engine, tokens.subarray(kept), 'all');
        const measured = divergence(expected.subarray(kept * vocabulary), again, vocabulary);
        test.diagnostic(`cut at ${cut}, ${kept} kept: ${describeDivergence(measured)}`);
        assert.deepEqual(engine.stats().tiers, tiers);
        assert.ok(measured.mean < 1e-5);
      }
    });
  });
});

interface Stats {
  readonly tiers: readonly {
    readonly name: string;
    readonly tokens: number;
    readonly bytes: number;
  }[];
}

function int8Tokens({ tiers }: Stats): number {
  return tiers.find(({ name }) => name === 'int8')?.tokens ?? 0;
}

function sumBytes({ tiers }: Stats): number {
  return tiers.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Compares bits: -0 is not 0, and the message is not a million numbers. */
function assertSameBits(actual: Float32Array, expected: Float32Array): void {
  assert.equal(actual.length, expected.length);
  const bits = (values: Float32Array): Uint32Array =>
    new Uint32Array(values.buffer, values.byteOffset, values.length);
  const expectedBits = bits(expected);
  const different = bits(actual).findIndex((value, index) => value !== expectedBits[index]);
  assert.equal(different, -1, `logit ${different} differs`);
}
