import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Engine, type EngineOptions } from '../../../sidecar/engine/engine.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import { SelfChecks } from '../../../sidecar/engine/selfChecks.ts';
import { fail, succeed } from '../../../sidecar/result.ts';
import { FakeAddon, FakeError, gate, type FakeOptions } from '../support/fakeAddon.ts';

const options: EngineOptions = {
  modelPath: '/a.gguf',
  contextTokens: 0,
  threads: 0,
  cacheBudgetBytes: 0,
  cache: { policy: 'full' },
  selfCheck: false,
};
const noChecks = new SelfChecks('/nowhere');
const never = new AbortController().signal;

function engineOn(fake: FakeOptions = {}): { engine: Engine; addon: FakeAddon; news: string[] } {
  const addon = new FakeAddon(fake);
  const news: string[] = [];
  const observer = {
    progress: (fraction: number, { modelPath }: EngineOptions) =>
      news.push(`${modelPath} ${fraction}`),
    loaded: () => news.push('loaded'),
    failed: (failure: Failure) => news.push(failure.code),
  };
  const engine = new Engine(() => succeed(addon.loaded), options, observer, noChecks);
  return { engine, addon, news };
}

describe('Engine', () => {
  it('loads nothing before it is needed, then once', async () => {
    const { engine, addon, news } = engineOn();
    assert.equal(addon.loads.length, 0);
    const [first, second] = await Promise.all([engine.model(never), engine.model(never)]);
    assert.ok(first.ok && second.ok && first.value === second.value);
    assert.equal(addon.loads.length, 1);
    assert.equal(addon.loads[0]?.librariesPath, '/libraries');
    assert.deepEqual(news, ['/a.gguf 0', '/a.gguf 0.5', 'loaded']);
  });

  it('lets a waiter go without giving up the load', async () => {
    const loadGate = gate();
    const { engine, addon } = engineOn({ loadGate });
    const abort = new AbortController();
    const waiting = engine.model(abort.signal);
    abort.abort();
    const outcome = await waiting;
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ABORTED');
    loadGate.open();
    assert.ok((await engine.model(never)).ok);
    assert.equal(addon.loads.length, 1);
  });

  it('loads again only for options that matter, and frees the old model first', async () => {
    const { engine, addon } = engineOn();
    await engine.model(never);
    engine.configure({ ...options });
    assert.equal(addon.loads.length, 1);
    engine.configure({ ...options, cache: { policy: 'selective', sink: 16, window: 256 } });
    assert.ok((await engine.model(never)).ok);
    assert.equal(addon.loads.length, 2);
    assert.equal(addon.engines[0]?.closed, true);
    assert.equal(addon.engines[1]?.closed, false);
  });

  it('abandons a load whose options changed and reports only the new one', async () => {
    const loadGate = gate();
    const { engine, addon, news } = engineOn({ loadGate });
    const first = engine.model(never);
    await Promise.resolve();
    engine.configure({ ...options, modelPath: '/b.gguf' });
    loadGate.open();
    const outcome = await first;
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ABORTED');
    assert.ok((await engine.model(never)).ok);
    assert.deepEqual(
      addon.loads.map(({ modelPath }) => modelPath),
      ['/a.gguf', '/b.gguf'],
    );
    assert.deepEqual(news, ['/a.gguf 0', '/a.gguf 0.5', '/b.gguf 0', '/b.gguf 0.5', 'loaded']);
  });

  it('changes options for nothing while no model is needed', () => {
    const { engine, addon } = engineOn();
    engine.configure({ ...options, threads: 3 });
    assert.equal(addon.loads.length, 0);
  });

  it('tells a failed load once, keeps it, and tries again with other options', async () => {
    const { engine, addon, news } = engineOn({
      loadError: new FakeError('MODEL_INVALID', 'truncated'),
    });
    for (let i = 0; i < 3; i++) {
      const outcome = await engine.model(never);
      assert.ok(!outcome.ok);
      assert.deepEqual(outcome.error, { code: 'MODEL_INVALID', message: 'truncated' });
    }
    assert.equal(addon.loads.length, 1);
    assert.equal(news.at(-1), 'MODEL_INVALID');
    addon.options = {};
    engine.configure({ ...options, modelPath: '/b.gguf' });
    assert.ok((await engine.model(never)).ok);
  });

  it('passes on that there is no addon', async () => {
    const observer = {
      progress: () => undefined,
      loaded: () => undefined,
      failed: () => undefined,
    };
    const missing = fail({ code: 'ADDON_MISSING', message: 'gone' } as const);
    const engine = new Engine(() => missing, options, observer, noChecks);
    const outcome = await engine.model(never);
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ADDON_MISSING');
  });

  it('closes what is loaded and what is loading, then answers CLOSED', async () => {
    const loaded = engineOn();
    await loaded.engine.model(never);
    await loaded.engine.close();
    assert.equal(loaded.addon.engines[0]?.closed, true);
    const outcome = await loaded.engine.model(never);
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'CLOSED');

    const loading = engineOn({ loadGate: gate() });
    const waiting = loading.engine.model(never);
    await loading.engine.close();
    assert.ok(!(await waiting).ok);
    assert.equal(loading.addon.engines.length, 0);
  });
});
