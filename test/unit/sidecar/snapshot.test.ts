import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { ContextKeeper } from '../../../sidecar/context/keeper.ts';
import type { SourceFile } from '../../../sidecar/context/settle.ts';
import { Snapshots } from '../../../sidecar/context/snapshot.ts';
import { SnapshotFiles } from '../../../sidecar/context/snapshotFiles.ts';
import type { LoadedModel } from '../../../sidecar/engine/engine.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import { greedy } from '../../../sidecar/engine/sampling.ts';
import { folderWith } from '../support/folder.ts';
import { openOnly } from '../support/sources.ts';
import {
  FakeError,
  gate,
  loadFake,
  type FakeEngine,
  type FakeOptions,
} from '../support/fakeAddon.ts';

const never = new AbortController().signal;
const root = folderWith({});

const document = (name: string, length = 1000): SourceFile => ({
  uri: `file:///${name}`,
  name,
  text: name.repeat(length).slice(0, length),
});
const [a, b, c] = [document('a.ts'), document('b.ts'), document('c.ts')];

/** A sidecar's life, as far as snapshots are concerned. */
interface Life {
  readonly model: LoadedModel;
  readonly native: FakeEngine;
  readonly keeper: ContextKeeper;
  readonly snapshots: Snapshots;
  readonly failures: Failure[];
  open: readonly SourceFile[];
  wanted: boolean;
  maxTokens: number;
  repository: string;
  fill(signal?: AbortSignal): Promise<void>;
  /** What prompts start with. */
  seen(): string[];
}

let folder = '';
let lives = 0;
beforeEach(() => {
  folder = join(root, String(lives++), 'snapshots');
});

async function live(
  open: readonly SourceFile[],
  fake: FakeOptions = {},
  workspace: readonly string[] = ['file:///w'],
  mostBytes = 2 ** 30,
): Promise<Life> {
  const { model, native } = await loadFake(fake);
  const failures: Failure[] = [];
  const snapshots = new Snapshots({
    files: new SnapshotFiles(folder, mostBytes),
    workspace: () => workspace,
    isWanted: () => life.wanted,
    onFailure: (failure) => failures.push(failure),
  });
  const keeper = new ContextKeeper({
    repository: () => life.repository,
    documents: () => life.open,
    sources: openOnly(),
    maxTokens: () => life.maxTokens,
    idleMs: 2 ** 30,
    onFill: () => undefined,
    onFailure: (failure) => failures.push(failure),
    snapshots,
  });
  const life: Life = {
    model,
    native,
    keeper,
    snapshots,
    failures,
    open,
    wanted: true,
    maxTokens: 16,
    repository: 'ours',
    fill: (signal = never) => keeper.fill(model, signal),
    seen: () => keeper.take(model, 'file:///a').files.map(({ uri }) => uri),
  };
  return life;
}

const files = async (ending = ''): Promise<string[]> => {
  const all = await readdir(folder).catch(() => []);
  return all.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
};
const only = async (ending: string): Promise<string> => {
  const [file, ...others] = await files(ending);
  assert.ok(file !== undefined && others.length === 0);
  return file;
};
const uris = (documents: readonly SourceFile[]): string[] => documents.map(({ uri }) => uri);

/** A completion's prompt behind the stable part. */
async function ask({ keeper, model, native }: Life): Promise<number> {
  const { tokens } = keeper.take(model, 'file:///a');
  const prompt = Int32Array.from([...tokens, 1, 2, 3]);
  const request = { tokens: prompt, maxTokens: 1, sampling: greedy, stopTokens: new Int32Array() };
  return (await native.complete(request, () => undefined).result).reusedTokens;
}

/** As if a completion had been asked for there. */
const use = ({ keeper }: Life, { uri }: SourceFile): void => {
  keeper.note(uri, { cursor: 0, shown: { start: 0, end: 0 } });
};

describe('a snapshot', () => {
  it('gives the next process what this one has filled, and none of it is evaluated again', async () => {
    const first = await live([a, b, c]);
    await first.fill();
    const next = await live([c, a, b]);
    await next.fill();
    assert.deepEqual(next.seen(), uris([a, b, c]));
    const { tokens } = next.keeper.take(next.model, 'file:///a');
    assert.deepEqual(tokens, first.keeper.take(first.model, 'file:///a').tokens);
    assert.equal(next.native.requests.length, 0);
    assert.equal(await ask(next), tokens.length);
  });

  it('is of the documents as they are: what is behind a changed one is evaluated', async () => {
    await (await live([a, b, c])).fill();
    const changed = { ...b, text: `${b.text}changed` };
    const next = await live([a, changed, c]);
    await next.fill();
    assert.deepEqual(next.seen(), uris([a, changed, c]));
    const inFirst = next.keeper.take(next.model, 'file:///a').ends[0];
    assert.deepEqual(next.native.reused, [inFirst]);
  });

  it('goes no further than the first document that is not open, and comes back with it', async () => {
    await (await live([a, b, c])).fill();
    const next = await live([a, c]);
    next.snapshots.save = () => Promise.resolve();
    next.open = [a];
    for (const open of [[a], [a, b], [a, b, c]]) {
      next.open = open;
      await next.fill();
      assert.deepEqual(next.seen(), uris(open));
      assert.deepEqual(next.native.requests, []);
    }
    const without = await live([a, c]);
    await without.fill();
    assert.deepEqual(without.seen(), uris([a, c]));
    assert.deepEqual(without.native.reused, [
      without.keeper.take(without.model, 'file:///a').ends[0],
    ]);
  });

  it('is of a repository of that name', async () => {
    await (await live([a, b, c])).fill();
    const same = await live([a, b, c]);
    await same.fill();
    assert.deepEqual(same.native.requests, []);
    const other = await live([a, b, c]);
    other.repository = 'another';
    await other.fill();
    assert.equal(other.native.requests.length, 1);
    assert.deepEqual(other.seen(), uris([a, b, c]));
  });

  it('never brings a secret back', async () => {
    await (await live([a])).fill();
    const next = await live([{ ...a, name: '.env' }]);
    await next.fill();
    assert.deepEqual(next.seen(), []);
    assert.deepEqual(next.native.restored, []);
  });

  it('is of one workspace and one model', async () => {
    await (await live([a, b])).fill();
    const other = await live([a, b], {}, ['file:///other']);
    await other.fill();
    assert.equal(other.native.requests.length, 1);
    const shorter = await live([a, b], { info: { contextTokens: 4000 } });
    await shorter.fill();
    assert.equal(shorter.native.requests.length, 1);
    assert.equal((await files('.json')).length, 3);
  });

  it('leaves a request alone that comes while it is read, and is read again later', async () => {
    await (await live([a, b])).fill();
    const restoreGate = gate();
    const next = await live([a, b], { restoreGate });
    const abort = new AbortController();
    const filling = next.fill(abort.signal);
    while (next.native.restored.length === 0) await turn();
    abort.abort();
    assert.deepEqual(next.seen(), []);
    restoreGate.open();
    await filling;
    assert.deepEqual(next.seen(), []);
    await next.fill();
    assert.deepEqual(next.seen(), uris([a, b]));
    assert.equal(next.native.requests.length, 0);
  });

  it('does not take the place of what is held, unless it goes on from there', async () => {
    await (await live([a, b, c])).fill();
    const next = await live([b]);
    next.snapshots.save = () => Promise.resolve();
    await next.fill();
    next.open = [b, a, c];
    await next.fill();
    assert.deepEqual(next.native.restored, []);
    assert.deepEqual(next.seen(), uris([b, a, c]));
  });

  it('is read as far as there is room, and once', async () => {
    await (await live([a, b])).fill();
    const next = await live([a, b]);
    next.maxTokens = 2000;
    use(next, a);
    for (let i = 0; i < 3; i++) await next.fill();
    assert.deepEqual(next.seen(), uris([a]));
    assert.equal(next.native.restored.length, 1);
    assert.deepEqual(next.native.requests, []);
  });

  const damages: Readonly<Record<string, (json: string, session: string) => Promise<void>>> = {
    'a session that is cut': (_, session) => truncate(session, 10),
    'a session that is gone': (_, session) => rm(session),
    'an index that is no JSON': (json) => writeFile(json, '{'),
    'an index of another version': (json) => writeFile(json, '{"version":2}'),
    'an index with another number': async (json) => {
      const text = await readFile(json, 'utf8');
      await writeFile(json, text.replace('"headTokens":6', '"headTokens":5'));
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`that is damaged is deleted, and evaluated as ever: ${what}`, async () => {
      await (await live([a, b])).fill();
      await damage(await only('.json'), await only('.session'));
      const next = await live([a, b]);
      next.snapshots.save = () => Promise.resolve();
      await next.fill();
      assert.deepEqual(next.seen(), uris([a, b]));
      assert.equal(next.native.requests.length, 1);
      assert.deepEqual(next.failures, []);
      assert.deepEqual(await files(), []);
    });
  }

  it('that the engine refuses is deleted; one that it could never read is left', async () => {
    for (const [code, left] of [
      ['SESSION_INVALID', 0],
      ['CACHE_EXHAUSTED', 0],
      ['MODEL_UNSUPPORTED', 2],
    ] as const) {
      await (await live([a, b])).fill();
      const next = await live([a, b], { restoreError: new FakeError(code) });
      next.snapshots.save = () => Promise.resolve();
      await next.fill();
      await next.fill();
      assert.equal((await files()).length, left, code);
      assert.equal(next.native.restored.length, 1);
      assert.deepEqual(next.seen(), uris([a, b]));
      assert.deepEqual(next.failures, []);
    }
  });
});

describe('writing a snapshot', () => {
  const tokensIn = async (): Promise<number> => {
    const index: unknown = JSON.parse(await readFile(await only('.json'), 'utf8'));
    assert.ok(typeof index === 'object' && index !== null && 'held' in index);
    return Number(index.held);
  };

  /** The regular end, once nothing happens. */
  const end = async ({ keeper, model }: Life): Promise<void> => {
    keeper.wait(model);
    await keeper.close();
  };

  it('waits until enough is new, and the end of the process takes what there is', async () => {
    const life = await live([a, b, c]);
    use(life, c);
    await life.fill();
    await life.fill();
    assert.equal(life.native.saved.length, 1);
    assert.equal(await tokensIn(), life.keeper.take(life.model, 'file:///a').tokens.length);
    life.open = [a, b, c, document('more.ts', 300)];
    await life.fill();
    assert.equal(life.native.saved.length, 1);
    await end(life);
    assert.equal(life.native.saved.length, 2);
    const held = life.keeper.take(life.model, 'file:///a').tokens.length;
    assert.equal(await tokensIn(), held);

    const next = await live(life.open);
    use(next, c);
    await next.fill();
    assert.deepEqual(next.native.requests, []);
    next.open = [...life.open, document('few.ts', 100)];
    await next.fill();
    await end(next);
    assert.deepEqual(next.native.saved, []);
  });

  it('has nothing of a request in it, and takes nothing from one', async () => {
    const life = await live([a, b]);
    life.wanted = false;
    await life.fill();
    life.wanted = true;
    const held = life.keeper.take(life.model, 'file:///a').tokens.length;
    assert.equal(await ask(life), held);
    await life.fill();
    assert.deepEqual(life.native.saved, []);
    assert.ok(life.native.stats().tokens > held);
    await end(life);
    assert.equal(await tokensIn(), held);
    const session: unknown = JSON.parse(await readFile(await only('.session'), 'utf8'));
    assert.ok(Array.isArray(session) && session.length === held);
  });

  it('does not hold up the end while a request runs', async () => {
    const life = await live([a, b]);
    life.wanted = false;
    await life.fill();
    life.wanted = true;
    life.keeper.wait(life.model);
    life.keeper.take(life.model, 'file:///a');
    await life.keeper.close();
    assert.deepEqual(life.native.saved, []);
  });

  it('is left where it would take too long', async () => {
    const life = await live([a, b], { stats: { bytes: 250e6 } });
    await life.fill();
    assert.deepEqual(life.native.saved, []);
    const smaller = await live([a, b], { stats: { bytes: 150e6 } });
    await smaller.fill();
    assert.equal(smaller.native.saved.length, 1);
  });

  it('is said once not to be possible, and loses nothing', async () => {
    const life = await live([a, b], { saveError: new FakeError('WRITE_FAILED', 'No space.') });
    await life.fill();
    life.open = [a, b, c];
    await life.fill();
    assert.deepEqual(life.seen(), uris([a, b, c]));
    assert.equal(life.native.saved.length, 1);
    assert.deepEqual(
      life.failures.map(({ code }) => code),
      ['WRITE_FAILED'],
    );
    assert.match(life.failures[0]?.message ?? '', /No space\.$/);

    await mkdir(join(folder, '..'), { recursive: true });
    await rm(folder, { recursive: true });
    await writeFile(folder, 'not a folder');
    const next = await live([a, b]);
    await next.fill();
    assert.deepEqual(
      next.failures.map(({ code }) => code),
      ['WRITE_FAILED'],
    );
  });

  it('is not tried again where part of the cache cannot be written', async () => {
    const life = await live([a, b], { saveError: new FakeError('MODEL_UNSUPPORTED') });
    await life.fill();
    life.open = [a, b, c];
    await life.fill();
    await end(life);
    assert.equal(life.native.saved.length, 1);
    assert.deepEqual(life.failures, []);
  });

  it("is for the user's eyes only", { skip: process.platform === 'win32' }, async () => {
    await (await live([a, b])).fill();
    const modes = await Promise.all(
      [folder, await only('.json'), await only('.session')].map(async (path) =>
        ((await stat(path)).mode & 0o777).toString(8),
      ),
    );
    assert.deepEqual(modes, ['700', '600', '600']);
  });

  it('by several windows leaves the last one, whole', async () => {
    const [one, other] = [await live([a, b]), await live([c, b])];
    await one.fill();
    await other.fill();
    const next = await live([c, b]);
    await next.fill();
    assert.deepEqual(next.native.requests, []);
    assert.deepEqual(next.failures, []);
    // What the first one wrote may be in use yet; the next write deletes it.
    assert.equal((await files('.session')).length, 2);
    const anHourAgo = new Date(Date.now() - 3_600_000);
    for (const file of await files()) await utimes(file, anHourAgo, anHourAgo);
    one.open = [a, b, document('more.ts')];
    await one.fill();
    assert.equal((await files('.session')).length, 1);
  });

  it('makes room: what was used last stays, within the bound', async () => {
    const names = ['one', 'two', 'three'];
    for (const [age, name] of names.entries()) {
      await (await live([a, b], {}, [name])).fill();
      const then = new Date(Date.now() - 86_400_000 * (10 - age));
      for (const file of await files()) {
        if ((await stat(file)).mtimeMs > Date.now() - 60_000) await utimes(file, then, then);
      }
    }
    // Reading is a use.
    await (await live([a, b], {}, ['one'])).fill();
    const sizes = await Promise.all((await files()).map(async (file) => (await stat(file)).size));
    const bound = sizes.reduce((sum, size) => sum + size, 0) + 100;
    await (await live([a, b], {}, ['four'], bound)).fill();
    const evaluated = async (workspace: string): Promise<number> => {
      const life = await live([a, b], {}, [workspace]);
      life.snapshots.save = () => Promise.resolve();
      await life.fill();
      return life.native.requests.length;
    };
    assert.deepEqual(
      await Promise.all(['one', 'two', 'three', 'four'].map(evaluated)),
      [0, 1, 0, 0],
    );
  });

  it('deletes what was not used for a month', async () => {
    await (await live([a, b])).fill();
    const then = new Date(Date.now() - 86_400_000 * 31);
    for (const file of await files()) await utimes(file, then, then);
    await (await live([a, b], {}, ['other'])).fill();
    assert.equal((await files('.json')).length, 1);
    assert.equal((await files('.session')).length, 1);
  });

  it('is undone for a workspace whose user wants none', async () => {
    const life = await live([a, b]);
    await life.fill();
    await (await live([a, b], {}, ['other'])).fill();
    life.wanted = false;
    await life.snapshots.forget();
    assert.equal((await files('.json')).length, 1);
    const next = await live([a, b]);
    await next.fill();
    assert.equal(next.native.requests.length, 1);
  });
});
