/** Sessions on disk: what is restored is what was saved, and nothing else is taken for it. */
import { strict as assert } from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { codeTokens } from '../fixtures/corpus.ts';
import { bundledModel, bundledModelInF32, modelFile } from '../fixtures/models/generate.ts';
import { smallModels } from '../fixtures/models/specs.ts';
import {
  complete,
  evaluate,
  full,
  rejectsWith,
  selective,
  withEngine,
  type CacheOptions,
} from './support/engine.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sightline-sessions-'));
after(() => {
  fs.rmSync(folder, { recursive: true });
});

const policies: readonly CacheOptions[] = [
  full,
  selective,
  { policy: 'selective', tier: 'int4' },
  { policy: 'hierarchical', window: 128, span: 512 },
  { policy: 'compressed', window: 256 },
  { policy: 'h2o', window: 128 },
  { policy: 'lowrank', rank: 16, window: 128 },
];

describe('a session', () => {
  for (const cache of policies)
    it(`restored into another engine predicts the same, bit by bit: ${JSON.stringify(cache)}`, async () => {
      const file = path.join(folder, 'same.session');
      const saved = await withEngine(bundledModel, cache, async (engine) => {
        const tokens = await codeTokens(engine, 2010);
        await evaluate(engine, tokens.subarray(0, 2000), 'last');
        const session = await engine.saveSession(file);
        const logits = await evaluate(engine, tokens.subarray(2000), 'all');
        return { session, stats: engine.stats(), logits, tokens };
      });
      assert.equal(saved.session.tokens, 2000);
      await withEngine(bundledModel, cache, async (engine) => {
        assert.deepEqual(await engine.restoreSession(file), saved.session);
        assert.equal(engine.stats().tokens, 2000);
        const logits = await evaluate(engine, saved.tokens.subarray(2000), 'all');
        assert.deepEqual(logits, saved.logits);
        assert.deepEqual(engine.stats().tiers, saved.stats.tiers);
      });
    });

  it('spares every token of the prompt it holds', async () => {
    const file = path.join(folder, 'prompt.session');
    const tokens = await withEngine(bundledModel, selective, async (engine) => {
      const prompt = await codeTokens(engine, 1500);
      await evaluate(engine, prompt, 'last');
      await engine.saveSession(file);
      return prompt;
    });
    await withEngine(bundledModel, selective, async (engine) => {
      await engine.restoreSession(file);
      const longer = new Int32Array([...tokens, ...tokens.subarray(0, 3)]);
      const result = await complete(engine, { tokens: longer, maxTokens: 4 }).result;
      assert.equal(result.reusedTokens, tokens.length);
      assert.equal(result.prefilledTokens, 3);
    });
  });
});

describe('a file that is not a session of this model and cache', () => {
  const file = path.join(folder, 'good.session');

  const refused = async (change: (bytes: Buffer) => Buffer): Promise<void> => {
    if (!fs.existsSync(file))
      await withEngine(bundledModel, selective, async (engine) => {
        await evaluate(engine, await codeTokens(engine, 600), 'last');
        await engine.saveSession(file);
      });
    const changed = path.join(folder, 'changed.session');
    fs.writeFileSync(changed, change(fs.readFileSync(file)));
    await withEngine(bundledModel, selective, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 50), 'last');
      await rejectsWith(['SESSION_INVALID'], () => engine.restoreSession(changed));
      assert.equal(engine.stats().tokens, 0);
      await evaluate(engine, await codeTokens(engine, 50), 'last');
      assert.equal(engine.stats().tokens, 50, 'goes on');
    });
  };

  it('cut off', () => refused((bytes) => bytes.subarray(0, bytes.length - 100)));
  it('empty', () => refused(() => Buffer.alloc(0)));
  it('with one bit flipped', () =>
    refused((bytes) => {
      const at = Math.floor(bytes.length / 2);
      bytes[at] = (bytes[at] ?? 0) ^ 4;
      return bytes;
    }));
  it('something else', () => refused(() => fs.readFileSync(bundledModel).subarray(0, 1 << 16)));

  it('of another model', async () => {
    const other = path.join(folder, 'other.session');
    await withEngine(bundledModelInF32(), selective, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 300), 'last');
      await engine.saveSession(other);
    });
    await withEngine(bundledModel, selective, (engine) =>
      rejectsWith(['SESSION_INVALID'], () => engine.restoreSession(other)),
    );
  });

  it('of another policy', async () => {
    const other = path.join(folder, 'full.session');
    await withEngine(bundledModel, full, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 300), 'last');
      await engine.saveSession(other);
    });
    await withEngine(bundledModel, selective, (engine) =>
      rejectsWith(['SESSION_INVALID'], () => engine.restoreSession(other)),
    );
  });

  it('and one that is not there', () =>
    withEngine(bundledModel, selective, (engine) =>
      rejectsWith(['SESSION_INVALID'], () => engine.restoreSession(path.join(folder, 'none'))),
    ));
});

describe('saving', () => {
  it('where it cannot be written is an error that leaves nothing behind', async () => {
    await withEngine(bundledModel, selective, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 300), 'last');
      await rejectsWith(['WRITE_FAILED'], () =>
        engine.saveSession(path.join(folder, 'no such folder', 'a.session')),
      );
      assert.equal(engine.stats().tokens, 300);
    });
  });

  it('is refused where part of the cache is not ours', async () => {
    await withEngine(modelFile(smallModels.gemma3), selective, async (engine) => {
      await evaluate(engine, await codeTokens(engine, 100), 'last');
      await rejectsWith(['MODEL_UNSUPPORTED'], () =>
        engine.saveSession(path.join(folder, 'gemma.session')),
      );
    });
  });
});
