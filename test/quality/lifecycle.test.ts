/** Completions, reuse, abort, close and bad arguments, on the bundled model. */
import { strict as assert } from 'node:assert';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { CompleteEvent, Job, NativeEngine } from '../../sidecar/engine/addon.ts';
import { failureOf } from '../../sidecar/engine/failure.ts';
import { bundledModel, bundledModelInF32 } from '../fixtures/models/generate.ts';
import { uniformStream } from '../../sidecar/evaluation/random.ts';
import { spawnChild } from './support/child.ts';
import { codeTokens, readCorpus } from '../fixtures/corpus.ts';
import {
  addon,
  blockTokens,
  complete,
  evaluate,
  full,
  greedy,
  load,
  loadOptions,
  rejectsWith,
  selective,
  stock,
  withEngine,
} from './support/engine.ts';

// The first load of this process: backends, once found, stay.
describe('a folder without llama.cpp', () => {
  it('is named', async () => {
    const options = { ...loadOptions(bundledModel, full), librariesPath: import.meta.dirname };
    await rejectsWith(['BACKEND_MISSING'], () => load(options).result);
  });
});

describe('text and tokens', () => {
  it('come back as they were', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      for (const text of ['', ' x', 'const a = "ü€😀\u{1F469}‍💻";\r\n\t', readCorpus('linkedMap')])
        assert.equal(await engine.detokenize(await engine.tokenize(text, false)), text);
    });
  });

  it('know the fill-in-the-middle markers', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const { fim } = engine.info;
      const marker = '<|fim_prefix|>';
      assert.deepEqual(await engine.tokenize(marker, true), Int32Array.of(fim.prefix));
      assert.ok((await engine.tokenize(marker, false)).length > 1);
      assert.equal(new Set(Object.values(fim)).size, 6);
      assert.ok(Object.values(fim).every((token) => token >= 0));
    });
  });
});

describe('complete', () => {
  for (const cache of [full, selective, stock])
    it(`takes the common prefix from the cache, policy ${cache.policy}`, async () => {
      await withEngine(bundledModelInF32(), cache, async (engine) => {
        const tokens = await codeTokens(engine, 900);
        const first = await complete(engine, { tokens, maxTokens: 8 }).result;
        assert.equal(first.reusedTokens, 0);
        assert.equal(first.prefilledTokens, 900);

        // The same 700 tokens, then others.
        const edited = Int32Array.from([
          ...tokens.subarray(0, 700),
          ...(await codeTokens(engine, 60, 3000)),
        ]);
        const second = await complete(engine, { tokens: edited, maxTokens: 24 }).result;
        assert.equal(second.reusedTokens + second.prefilledTokens, edited.length);
        const atLeast = cache.policy === 'selective' ? 700 - (blockTokens - 1) : 700;
        assert.ok(second.reusedTokens <= 700 && second.reusedTokens >= atLeast);

        const third = await complete(engine, { tokens: edited, maxTokens: 24 }).result;
        assert.equal(third.prefilledTokens, 1, 'the last token is evaluated for its logits');
        assert.equal(third.text, second.text);

        if (cache.policy !== 'selective') {
          const fresh = await withEngine(
            bundledModelInF32(),
            cache,
            (other) => complete(other, { tokens: edited, maxTokens: 24 }).result,
          );
          assert.equal(second.text, fresh.text);
        }
      });
    });

  it('reports progress and text as they come', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      const tokens = await codeTokens(engine, 1500);
      const events: CompleteEvent[] = [];
      const request = { ...greedy, tokens };
      const result = await engine.complete(request, (event) => events.push(event)).result;
      const prefill = events.filter((event) => event.kind === 'prefill');
      assert.ok(prefill.length >= 2);
      assert.ok(prefill.every(({ done, total }) => done <= total && total === 1500));
      assert.equal(prefill.at(-1)?.done, 1500);
      const text = events.flatMap((event) => (event.kind === 'text' ? [event.text] : []));
      assert.equal(text.join(''), result.text);
      assert.equal(await engine.detokenize(result.tokens), result.text);
    });
  });

  it('stops before stop tokens, at the length asked for, and where the context ends', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const tokens = await codeTokens(engine, 300);
      const free = await complete(engine, { tokens, maxTokens: 12 }).result;
      assert.equal(free.tokens.length, 12);
      assert.equal(free.finish, 'length');
      const stop = free.tokens.subarray(5, 6);
      const stopped = await complete(engine, { tokens, maxTokens: 12, stopTokens: stop }).result;
      assert.equal(stopped.finish, 'end');
      assert.deepEqual(stopped.tokens, free.tokens.slice(0, free.tokens.indexOf(stop[0] ?? -1)));
    });
    const small = { ...loadOptions(bundledModel, full), contextTokens: 320 };
    const engine = await load(small).result;
    try {
      const { contextTokens } = engine.info;
      const tokens = await codeTokens(engine, contextTokens - 10);
      const { finish, tokens: written } = await complete(engine, { tokens }).result;
      assert.ok(finish === 'context' ? written.length <= 11 : finish === 'end');
      assert.ok(engine.stats().tokens <= contextTokens);
    } finally {
      await engine.close();
    }
  });

  it('samples the same for the same seed and otherwise for another', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const tokens = await codeTokens(engine, 300);
      const sample = async (seed: number): Promise<string> => {
        const sampling = { temperature: 1.2, topK: 0, topP: 1, minP: 0, seed };
        return (await complete(engine, { tokens, sampling }).result).text;
      };
      const first = await sample(7);
      assert.equal(await sample(7), first);
      assert.notEqual(await sample(8), first);
    });
  });
});

describe('abort', () => {
  /** Aborted or done, both are fine; anything else is not. */
  async function settled(job: Job<unknown>): Promise<'done' | 'aborted'> {
    try {
      await job.result;
      return 'done';
    } catch (error) {
      assert.equal(failureOf(error).code, 'ABORTED');
      return 'aborted';
    }
  }

  for (const cache of [full, selective, stock])
    it(`at any moment leaves a working engine, policy ${cache.policy}`, async (test) => {
      await withEngine(bundledModel, cache, async (engine) => {
        const tokens = await codeTokens(engine, 700);
        const expected = await evaluate(engine, tokens, 'last');
        const next = uniformStream(`abort ${cache.policy}`);
        const outcomes = { done: 0, aborted: 0 };
        for (let round = 0; round < 24; round++) {
          await engine.truncate(Math.floor(next() * engine.stats().tokens));
          const prompt = Int32Array.from([...tokens.subarray(0, 50 + round), ...tokens]);
          const job: Job<unknown> =
            round % 2 === 0
              ? complete(engine, { tokens: prompt })
              : engine.evaluate(tokens.subarray(0, 600), 'all');
          await delay(next() * 150);
          job.abort();
          job.abort();
          outcomes[await settled(job)]++;
          const { bytes, tiers } = engine.stats();
          assert.equal(
            tiers.reduce((sum, tier) => sum + tier.bytes, 0),
            bytes,
          );
        }
        test.diagnostic(`${outcomes.aborted} aborted, ${outcomes.done} done before that`);
        await engine.truncate(0);
        assert.deepEqual(await evaluate(engine, tokens, 'last'), expected);
      });
    });

  it('during prefill and decode stops the completion there', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      const tokens = await codeTokens(engine, 3000);
      for (const kind of ['prefill', 'text'] as const) {
        await engine.truncate(0);
        const job = engine.complete({ ...greedy, tokens, maxTokens: 1024 }, (event) => {
          if (event.kind === kind) job.abort();
        });
        assert.equal(await settled(job), 'aborted', `in ${kind}`);
        if (kind === 'prefill') assert.ok(engine.stats().tokens < 3000);
      }
    });
  });

  it('of a queued call never starts it', async () => {
    await withEngine(bundledModel, full, async (engine) => {
      const tokens = await codeTokens(engine, 512);
      const running = engine.evaluate(tokens, 'last');
      const queued = engine.evaluate(tokens, 'last');
      queued.abort();
      assert.equal(await settled(queued), 'aborted');
      await running.result;
      assert.equal(engine.stats().tokens, 512);
    });
  });

  it('of a load gives the load up', async () => {
    const next = uniformStream('abort load');
    for (let round = 0; round < 12; round++) {
      const job = load(loadOptions(bundledModel, selective));
      if (round > 0) await delay(next() * 40);
      job.abort();
      try {
        await (await job.result).close();
      } catch (error) {
        assert.equal(failureOf(error).code, 'ABORTED');
      }
    }
  });
});

describe('load', () => {
  it('leaves a part of the progress to the check of the cache', async () => {
    const fractions: number[] = [];
    const options = { ...loadOptions(bundledModel, selective), selfCheck: true };
    const engine = await addon.load(options, (fraction) => fractions.push(fraction)).result;
    await engine.close();
    assert.ok(fractions.some((fraction) => fraction > 0.5 && fraction < 1));
    assert.equal(fractions.at(-1), 1);
  });

  it('reports progress from 0 to 1 and what it loaded', async () => {
    const fractions: number[] = [];
    const job = addon.load(loadOptions(bundledModel, selective), (fraction) =>
      fractions.push(fraction),
    );
    const engine = await job.result;
    try {
      assert.ok(fractions.every((fraction, index) => fraction >= (fractions[index - 1] ?? 0)));
      assert.equal(fractions.at(-1), 1);
      const { architecture, layers, vocabulary, trainedTokens, contextTokens, ownedLayers } =
        engine.info;
      assert.deepEqual(
        { architecture, layers, vocabulary, trainedTokens, contextTokens, ownedLayers },
        {
          architecture: 'qwen2',
          layers: 4,
          vocabulary: 4096,
          trainedTokens: 8192,
          contextTokens: 8192,
          ownedLayers: 4,
        },
      );
    } finally {
      await engine.close();
    }
  });

  it('rejects options that make no sense', async () => {
    const options = loadOptions(bundledModel, selective);
    for (const bad of [
      { ...options, contextTokens: 8193 },
      { ...options, contextTokens: -1 },
      { ...options, contextTokens: 1.5 },
      { ...options, threads: -1 },
      { ...options, threads: 1.5 },
      { ...options, threads: 100_000 },
      { ...options, cache: { policy: 'stock', type: 'q8_0', flashAttention: false } as const },
      { ...options, cacheBudgetBytes: -1 },
      { ...options, cache: { policy: 'selective', sink: -1, window: 256 } as const },
      { ...options, cache: { policy: 'selective', sink: 16, window: -5 } as const },
    ])
      await rejectsWith(['BAD_ARGUMENT'], () => load(bad).result, JSON.stringify(bad));
  });

  it('holds two engines at once, each with its own cache', async () => {
    await withEngine(bundledModel, full, (first) =>
      withEngine(bundledModel, selective, async (second) => {
        const tokens = await codeTokens(first, 600);
        const alone = await evaluate(first, tokens, 'last');
        await first.truncate(0);
        const [again] = await Promise.all([
          evaluate(first, tokens, 'last'),
          evaluate(second, tokens.subarray(0, 450), 'last'),
        ]);
        assert.deepEqual(again, alone);
        assert.equal(first.stats().tokens, 600);
        assert.equal(second.stats().tokens, 450);
      }),
    );
  });
});

describe('bad arguments', () => {
  let engine: NativeEngine;
  before(async () => {
    engine = await load({ ...loadOptions(bundledModel, selective), contextTokens: 512 }).result;
  });
  after(() => engine.close());

  it('reject', async () => {
    const { vocabulary } = engine.info;
    for (const tokens of [new Int32Array(), Int32Array.of(-1), Int32Array.of(1, vocabulary)]) {
      await rejectsWith(['BAD_ARGUMENT'], () => engine.evaluate(tokens, 'last').result);
      await rejectsWith(['BAD_ARGUMENT'], () => complete(engine, { tokens }).result);
    }
    for (const cut of [-1, 0.5, Number.NaN, 2 ** 40])
      await rejectsWith(['BAD_ARGUMENT'], () => engine.truncate(cut));
    await rejectsWith(['BAD_ARGUMENT'], () => engine.detokenize(Int32Array.of(vocabulary)));
    const tokens = Int32Array.of(1, 2, 3);
    await rejectsWith(['BAD_ARGUMENT'], () => complete(engine, { tokens, maxTokens: -1 }).result);
    const sampling = { ...greedy.sampling, temperature: Number.NaN };
    await rejectsWith(['BAD_ARGUMENT'], () => complete(engine, { tokens, sampling }).result);
  });

  it('reject what the context does not hold', async () => {
    const { contextTokens } = engine.info;
    await engine.truncate(0);
    const tokens = await codeTokens(engine, contextTokens + 1);
    await rejectsWith(['CONTEXT_FULL'], () => engine.evaluate(tokens, 'last').result);
    await rejectsWith(['CONTEXT_FULL'], () => complete(engine, { tokens }).result);
    await engine.truncate(0);
    await evaluate(engine, tokens.subarray(0, contextTokens), 'last');
    await rejectsWith(['CONTEXT_FULL'], () => engine.evaluate(Int32Array.of(1), 'last').result);
    assert.equal(engine.stats().tokens, contextTokens);
  });

  it('leave the engine working', async () => {
    await engine.truncate(0);
    const tokens = await codeTokens(engine, 100);
    assert.ok((await complete(engine, { tokens, maxTokens: 4 }).result).tokens.length > 0);
  });
});

describe('close', () => {
  it('ends what runs and rejects what comes later', async () => {
    const engine = await load(loadOptions(bundledModel, selective)).result;
    const tokens = await codeTokens(engine, 2000);
    const running = complete(engine, { tokens, maxTokens: 500 });
    const queued = engine.evaluate(tokens, 'last');
    const ended = Promise.all([
      rejectsWith(['ABORTED', 'CLOSED'], () => running.result),
      rejectsWith(['ABORTED', 'CLOSED'], () => queued.result),
    ]);
    await engine.close();
    await ended;
    await engine.close();
    running.abort();
    await rejectsWith(['CLOSED'], () => engine.tokenize('x', false));
    await rejectsWith(['CLOSED'], () => engine.detokenize(tokens));
    await rejectsWith(['CLOSED'], () => engine.truncate(0));
    await rejectsWith(['CLOSED'], () => engine.evaluate(tokens, 'last').result);
    await rejectsWith(['CLOSED'], () => complete(engine, { tokens }).result);
    assert.throws(() => engine.stats(), { code: 'CLOSED' });
  });
});

describe('the end of the process', () => {
  it('may come while the engine computes', () => {
    for (let round = 0; round < 10; round++) {
      const { status, signal, stderr } = spawnChild('exit-at-work', []);
      assert.deepEqual({ status, signal }, { status: 7, signal: null }, stderr);
    }
  });
});
