/** The device's FP16 cache against llama.cpp's own, on the same model in the same process. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import type { CacheOptions } from '../../sidecar/engine/addon.ts';
import type { ModelSpec } from '../fixtures/models/architectures.ts';
import { bundledModel, bundledModelInF32, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import { codeTokens, readCorpus } from '../fixtures/corpus.ts';
import { describeDivergence, divergence, type Divergence } from '../../bench/divergence.ts';
import { addon, complete, evaluate, full, stock, withEngine } from './support/engine.ts';

const decodeSteps = 64;

interface Measured {
  readonly prefill: Divergence;
  readonly decode: Divergence;
}

/** Both engines see the same tokens: `prefillTokens` in batches, then one at a time. */
async function compare(
  modelPath: string,
  reference: CacheOptions,
  other: CacheOptions,
  prefillTokens: number,
): Promise<Measured> {
  return withEngine(modelPath, reference, (a) =>
    withEngine(modelPath, other, async (b) => {
      const tokens = await codeTokens(a, prefillTokens + decodeSteps);
      const prompt = tokens.subarray(0, prefillTokens);
      const rest = tokens.subarray(prefillTokens);
      const { vocabulary } = a.info;
      const between = async (part: Int32Array, chunk: number): Promise<Divergence> =>
        divergence(
          await evaluate(a, part, 'all', chunk),
          await evaluate(b, part, 'all', chunk),
          vocabulary,
        );
      return { prefill: await between(prompt, 512), decode: await between(rest, 1) };
    }),
  );
}

describe('full against stock llama.cpp', () => {
  const models = Object.values<ModelSpec>(smallModels).map((spec) => ({
    name: spec.name,
    path: modelFile(spec),
    // Far enough that the cache of sliding-window layers has dropped its first tokens.
    tokens: spec.slidingWindow ? 1200 : 600,
  }));
  models.push({ name: 'the bundled model in f32', path: bundledModelInF32(), tokens: 1200 });
  for (const { name, path, tokens } of models) {
    it(`predicts the same on ${name}`, async (test) => {
      const { prefill, decode } = await compare(path, stock, full, tokens);
      test.diagnostic(`${name}, prefill: ${describeDivergence(prefill)}`);
      test.diagnostic(`${name}, decode: ${describeDivergence(decode)}`);
      assert.ok(prefill.max < 1e-4, `prefill: ${describeDivergence(prefill)}`);
      assert.ok(decode.max < 1e-4, `decode: ${describeDivergence(decode)}`);
    });
  }

  // With q8_0 weights llama.cpp rounds activations to 8 bits: see `bundledModelInF32`.
  it('is as close on the bundled model as stock flash attention is', async (test) => {
    const flash: CacheOptions = { policy: 'stock', type: 'f16', flashAttention: true };
    const ours = await compare(bundledModel, stock, full, 1200);
    const theirs = await compare(bundledModel, stock, flash, 1200);
    for (const part of ['prefill', 'decode'] as const) {
      test.diagnostic(`${part}, full: ${describeDivergence(ours[part])}`);
      test.diagnostic(`${part}, stock flash attention: ${describeDivergence(theirs[part])}`);
    }
    assert.ok(ours.prefill.mean < 1.5 * theirs.prefill.mean, 'prefill');
    assert.ok(ours.decode.mean < 2 * theirs.decode.mean, 'decode');
  });

  it('owns every layer but those with a sliding window', async () => {
    const owned = async (path: string): Promise<number> =>
      withEngine(path, full, (engine) => Promise.resolve(engine.info.ownedLayers));
    assert.equal(await owned(modelFile(smallModels.llama)), smallModels.llama.layers);
    const { layers, slidingWindow } = smallModels.gemma3;
    assert.equal(await owned(modelFile(smallModels.gemma3)), layers / slidingWindow.pattern);
  });

  it('leaves heads that it cannot hold to llama.cpp', async () => {
    const path = modelFile({ ...smallModels.llama, name: 'odd-heads', headSize: 72 });
    await withEngine(path, { policy: 'selective' }, async (engine) => {
      assert.equal(engine.info.ownedLayers, 0);
      await evaluate(engine, await codeTokens(engine, 600), 'last');
      assert.ok(engine.stats().bytes > 0, 'what llama.cpp holds counts');
    });
    const flash: CacheOptions = { policy: 'stock', type: 'f16', flashAttention: true };
    const { prefill, decode } = await compare(path, flash, full, 600);
    assert.ok(prefill.max < 1e-4 && decode.max < 1e-4);
  });

  it('writes the same greedy completions, but for ties', async (test) => {
    const text = readCorpus('textDocument');
    const path = bundledModelInF32();
    await withEngine(path, stock, (reference) =>
      withEngine(path, full, async (engine) => {
        for (const end of [1200, 3000, 4200, 6100, 7700, 9000]) {
          const tokens = await reference.tokenize(text.slice(0, end), false);
          const expected = (await complete(reference, { tokens }).result).tokens;
          const written = (await complete(engine, { tokens }).result).tokens;
          const at = expected.findIndex((token, index) => token !== written[index]);
          if (at < 0) {
            assert.equal(written.length, expected.length);
            continue;
          }
          // Where two tokens are equally likely, rounding decides.
          await reference.truncate(0);
          const common = Int32Array.from([...tokens, ...expected.subarray(0, at)]);
          const logits = await evaluate(reference, common, 'last');
          const [theirs = Number.NaN, ours = Number.NaN] = [expected[at], written[at]].map(
            (token) => logits[token ?? -1],
          );
          test.diagnostic(`${end}: token ${at} is a tie, ${theirs} and ${ours}`);
          assert.ok(theirs - ours < 2e-3, `after ${end} characters, token ${at}`);
        }
      }),
    );
  });
});

describe('the release pair', () => {
  it('runs with the llama.cpp it was built for', () => {
    assert.equal(addon.release.loaded, addon.release.built);
    assert.match(addon.release.built, /\d/);
  });
});
