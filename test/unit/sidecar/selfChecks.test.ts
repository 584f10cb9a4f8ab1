import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { cacheFolder } from '../../../sidecar/cacheFolder.ts';
import type { CacheOptions, LoadOptions } from '../../../sidecar/engine/addon.ts';
import { Engine, type LoadedModel } from '../../../sidecar/engine/engine.ts';
import { SelfChecks } from '../../../sidecar/engine/selfChecks.ts';
import type { CacheCheck } from '../../../sidecar/protocol.ts';
import { succeed } from '../../../sidecar/result.ts';
import { cacheStats } from '../../../sidecar/stats.ts';
import { FakeAddon } from '../support/fakeAddon.ts';

const held: CacheCheck = {
  asked: 'int4',
  tier: 'int4',
  divergence: 0.001,
  bound: 0.02,
  sameTop: 0.98,
};
const raised: CacheCheck = { ...held, tier: 'int8' };
const int4 = { policy: 'selective', sink: 16, tier: 'int4' } as const;
const silent = { progress: () => undefined, loaded: () => undefined, failed: () => undefined };

describe('SelfChecks', () => {
  let home = '';
  let modelPath = '';
  let folder = '';
  let runs = 0;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'sightline-'));
    modelPath = join(home, 'm.gguf');
  });
  beforeEach(async () => {
    await writeFile(modelPath, 'model');
    folder = join(home, `run ${++runs}`, 'cache');
  });
  after(() => rm(home, { recursive: true }));

  /** A load by a process of its own, with a model on which a check finds `check`. */
  async function load(
    check: CacheCheck,
    options: Partial<LoadOptions> = {},
  ): Promise<{ readonly asked: LoadOptions | undefined; readonly model: LoadedModel }> {
    const addon = new FakeAddon({ stats: { check } });
    const engine = new Engine(
      () => succeed(addon.loaded),
      {
        modelPath,
        contextTokens: 0,
        threads: 0,
        cacheBudgetBytes: 0,
        cache: int4,
        selfCheck: true,
        ...options,
      },
      silent,
      new SelfChecks(folder),
    );
    const model = await engine.model(new AbortController().signal);
    assert.ok(model.ok);
    return { asked: addon.loads[0], model: model.value };
  }

  const checks = async (cache: CacheOptions = int4): Promise<boolean | undefined> =>
    (await load(held, { cache })).asked?.selfCheck;

  it('checks a model once, and tells later what was found', async () => {
    const first = await load(held);
    assert.equal(first.asked?.selfCheck, true);
    assert.deepEqual(cacheStats(first.model, 'selective', {}).check, held);
    const second = await load(held);
    assert.equal(second.asked?.selfCheck, false);
    assert.deepEqual(second.asked.cache, int4);
    assert.deepEqual(cacheStats(second.model, 'selective', {}).check, held);
  });

  it('loads with the tier that was raised to', async () => {
    await load(raised);
    const { asked, model } = await load(raised);
    assert.equal(asked?.selfCheck, false);
    assert.deepEqual(asked.cache, { ...int4, tier: 'int8' });
    assert.deepEqual(cacheStats(model, 'selective', {}).check, raised);

    const k4v2 = { ...int4, tier: 'k4v2' } as const;
    const pair = { ...raised, asked: 'k4v2', tier: 'int8-int2' };
    await load(pair, { cache: k4v2 });
    const again = await load(pair, { cache: k4v2 });
    assert.deepEqual(again.asked?.cache, { ...int4, tier: { k: 'int8', v: 'int2' } });
  });

  it('checks again where no option says the tier that was raised to', async () => {
    for (const cache of [
      { policy: 'hierarchical', sink: 16, span: 4096 },
      { policy: 'lowrank', sink: 16, tier: 'int4' },
    ] as const) {
      await load(raised, { cache });
      assert.equal(await checks(cache), true, cache.policy);
      // Now it was found to hold, and needs no option.
      assert.equal(await checks(cache), false, cache.policy);
    }
    await load({ ...held, tier: 'unheard' });
    assert.equal(await checks(), true);
  });

  it('checks again with another cache, or when the model file has changed', async () => {
    await load(held);
    assert.equal(await checks({ ...int4, window: 512 }), true);
    assert.equal(await checks(), false);
    await writeFile(modelPath, 'longer model');
    assert.equal(await checks(), true);
    await utimes(modelPath, 1, 1);
    assert.equal(await checks(), true);
    assert.equal(await checks(), false);
  });

  it('takes a damaged file for an empty one, and makes it whole', async () => {
    await load(held);
    const file = join(folder, 'self-checks.json');
    const whole = await readFile(file, 'utf8');
    const damaged = [whole.slice(0, -3), '', 'null', '[]', whole.replace('0.02', '"much"')];
    for (const text of damaged) {
      await writeFile(file, text);
      assert.equal(await checks(), true, text);
      assert.equal(await readFile(file, 'utf8'), whole);
    }
    assert.deepEqual(await readdir(folder), ['self-checks.json']);
  });

  it('does without where nothing can be written', async () => {
    await writeFile(join(home, 'file'), '');
    folder = join(home, 'file', 'cache');
    assert.equal(await checks(), true);
    assert.equal(await checks(), true);
  });

  it('keeps the latest hundred', async () => {
    const selfChecks = new SelfChecks(folder);
    const checked = (window: number) => ({
      modelPath,
      addonPath: modelPath,
      cache: { ...int4, window },
    });
    for (let window = 0; window < 101; window++) await selfChecks.remember(checked(window), held);
    assert.equal(await selfChecks.recall(checked(0)), undefined);
    assert.deepEqual((await selfChecks.recall(checked(1)))?.check, held);
  });

  it('neither asks nor keeps where no check is wanted', async () => {
    await load(held, { selfCheck: false });
    assert.equal(await checks(), true);
    const { asked, model } = await load(held, { selfCheck: false });
    assert.equal(asked?.selfCheck, false);
    assert.equal(cacheStats(model, 'selective', {}).check, undefined);
  });
});

describe('cacheFolder', () => {
  const home = join(tmpdir(), 'home');
  const elsewhere = join(tmpdir(), 'elsewhere');
  it('is where the system wants it', () => {
    assert.equal(cacheFolder({}, 'linux', home), join(home, '.cache', 'sightline'));
    assert.equal(cacheFolder({}, 'darwin', home), join(home, 'Library', 'Caches', 'sightline'));
    assert.equal(cacheFolder({}, 'win32', home), join(home, 'AppData', 'Local', 'sightline'));
    assert.equal(
      cacheFolder({ LOCALAPPDATA: elsewhere }, 'win32', home),
      join(elsewhere, 'sightline'),
    );
  });

  it('follows XDG_CACHE_HOME where that is an absolute path', () => {
    const chosen = cacheFolder({ XDG_CACHE_HOME: elsewhere }, 'linux', home);
    assert.equal(chosen, join(elsewhere, 'sightline'));
    assert.equal(
      cacheFolder({ XDG_CACHE_HOME: 'relative' }, 'linux', home),
      join(home, '.cache', 'sightline'),
    );
  });
});
