/** Drafts by prompt lookup, and completions that are ended early, as the sidecar has them. */
import { strict as assert } from 'node:assert';
import { describe, it } from 'node:test';
import type { CompleteResult, NativeEngine } from '../../sidecar/engine/addon.ts';
import { codeTokens } from '../fixtures/corpus.ts';
import { bundledModel, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import {
  complete,
  full,
  greedy,
  rejectsWith,
  selective,
  stock,
  withEngine,
  type CacheOptions,
} from './support/engine.ts';

const prompts = [
  { skip: 0, tokens: 300 },
  { skip: 200, tokens: 900 },
  { skip: 500, tokens: 1500 },
  { skip: 1700, tokens: 700 },
  { skip: 2300, tokens: 1100 },
] as const;

/** Before, the cache is filled: that is when the engine finds out how long drafts may be. */
async function promptsOf(engine: NativeEngine): Promise<Int32Array[]> {
  await complete(engine, { tokens: await codeTokens(engine, 200), maxTokens: 0 }).result;
  return Promise.all(prompts.map(({ skip, tokens }) => codeTokens(engine, tokens, skip)));
}

const both = async (
  engine: NativeEngine,
  request: Parameters<typeof complete>[1],
): Promise<readonly [CompleteResult, CompleteResult]> => [
  await complete(engine, { ...request, speculate: false }).result,
  await complete(engine, request).result,
];

describe('drafts', () => {
  const caches: readonly CacheOptions[] = [full, selective, { policy: 'selective', tier: 'int4' }];
  for (const cache of caches)
    it(`leave the tokens as they are, ${JSON.stringify(cache)}`, async (test) => {
      await withEngine(bundledModel, cache, async (engine) => {
        let [drafted, accepted] = [0, 0];
        for (const tokens of await promptsOf(engine)) {
          const [without, drafting] = await both(engine, { tokens });
          assert.deepEqual(drafting.tokens, without.tokens);
          assert.equal(without.draftedTokens, 0);
          drafted += drafting.draftedTokens;
          accepted += drafting.acceptedTokens;
        }
        test.diagnostic(`${accepted} of ${drafted} drafted tokens accepted`);
        assert.ok(accepted > 0 && accepted <= drafted);
      });
    });

  it('are drawn from the same distribution: with the same seed, the same tokens', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      const sampling = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0, seed: 11 };
      for (const tokens of await promptsOf(engine)) {
        const [without, drafting] = await both(engine, { tokens, sampling });
        assert.deepEqual(drafting.tokens, without.tokens);
      }
    });
  });

  it('are not made where they could not be taken back, nor in the reference', async () => {
    const cases = [
      [modelFile(smallModels.gemma3), selective],
      [bundledModel, { policy: 'h2o' }],
      [bundledModel, stock],
    ] as const;
    for (const [model, cache] of cases)
      await withEngine(model, cache, async (engine) => {
        const words = (await codeTokens(engine, 100)).map((token) => token % 2000);
        const tokens = Int32Array.from([...words, ...words, ...words]);
        await complete(engine, { tokens: tokens.subarray(0, 200), maxTokens: 0 }).result;
        const [without, drafting] = await both(engine, { tokens });
        assert.deepEqual(drafting.tokens, without.tokens);
        assert.equal(drafting.draftedTokens, 0);
      });
  });

  it('are asked for with true or false', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const request = { ...greedy, tokens: Int32Array.of(1), speculate: 'yes' as never };
      await rejectsWith(['BAD_ARGUMENT'], () => engine.complete(request, () => undefined).result);
    });
  });
});

describe('finish', () => {
  it('ends a completion within a step, with what there is', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      const tokens = await codeTokens(engine, 700);
      const request = { ...greedy, tokens, maxTokens: 4000 };
      const whole = await complete(engine, { tokens, maxTokens: 300 }).result;
      for (const speculate of [false, true]) {
        const job = engine.complete({ ...request, speculate }, ({ kind }) => {
          if (kind === 'text') job.finish();
        });
        const { finish, tokens: some, text } = await job.result;
        assert.equal(finish, 'stopped');
        assert.ok(some.length > 0 && some.length < 4000);
        const shared = Math.min(some.length, whole.tokens.length);
        assert.deepEqual(some.subarray(0, shared), whole.tokens.subarray(0, shared));
        assert.ok(whole.text.startsWith(text.slice(0, 20)));
        job.finish();
      }
      assert.deepEqual(
        (await complete(engine, { tokens, maxTokens: 300 }).result).text,
        whole.text,
      );
    });
  });

  it('of a completion that has not begun leaves the prompt in the cache, and no token', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      const tokens = await codeTokens(engine, 700);
      const job = engine.complete({ ...greedy, tokens }, () => undefined);
      job.finish();
      const result = await job.result;
      assert.equal(result.finish, 'stopped');
      assert.equal(result.tokens.length, 0);
      assert.equal(engine.stats().tokens, 700);
    });
  });

  it('changes nothing of one that was refused or aborted', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const refused = engine.complete({ ...greedy, tokens: Int32Array.of(-1) }, () => undefined);
      refused.finish();
      await rejectsWith(['BAD_ARGUMENT'], () => refused.result);
      const tokens = await codeTokens(engine, 700);
      const aborted = engine.complete({ ...greedy, tokens }, () => undefined);
      aborted.abort();
      aborted.finish();
      await rejectsWith(['ABORTED'], () => aborted.result);
    });
  });
});
