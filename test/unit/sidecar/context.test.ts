import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { arrange, type Part } from '../../../sidecar/context/arrange.ts';
import { repositoryHead } from '../../../sidecar/context/head.ts';
import { ContextKeeper, liveTokensOf } from '../../../sidecar/context/keeper.ts';
import { untellable } from '../../../sidecar/context/secrets.ts';
import {
  changedRange,
  isSettled,
  settle,
  type SourceFile,
} from '../../../sidecar/context/settle.ts';
import { StableContext } from '../../../sidecar/context/stable.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import { ContextSources } from '../../../sidecar/context/sources.ts';
import { uriOf } from '../../../sidecar/context/workspace.ts';
import { folderWith } from '../support/folder.ts';
import { openOnly } from '../support/sources.ts';
import { FakeError, loadFake } from '../support/fakeAddon.ts';
import { uniformStream } from '../../../sidecar/evaluation/random.ts';

const never = new AbortController().signal;

const document = (name: string, text: string): SourceFile => ({
  uri: `file:///${name}`,
  name,
  text,
});

const candidate = (document: SourceFile, focus = 0) => ({
  document,
  source: 'open' as const,
  focus,
});

const part = (name: string, length: number): Part => ({
  uri: name,
  source: 'open',
  text: '',
  start: 0,
  end: 0,
  tokens: new Int32Array(length),
  headTokens: 0,
  documentTokens: length,
});

describe('arrange', () => {
  const [a, b, c, d] = [part('a', 10), part('b', 20), part('c', 30), part('d', 40)];

  it('puts the most important part last, next to the cursor', () => {
    assert.deepEqual(arrange([], [a, b, c], 100), [c, b, a]);
  });

  it('leaves out what does not fit, the least important first', () => {
    assert.deepEqual(arrange([], [a, d, c], 50), [d, a]);
    assert.deepEqual(arrange([], [a, c, d], 50), [c, a]);
    assert.deepEqual(arrange([], [d], 39), []);
  });

  it('leaves what is held where it is, up to the first change', () => {
    assert.deepEqual(arrange([a, b, c], [c, b, a], 100), [a, b, c]);
    assert.deepEqual(arrange([a, b, c], [a, b, c], 100), [a, b, c]);
    assert.deepEqual(arrange([a, b, c], [d, a, c], 100), [a, c, d]);
    const changed = part('b', 21);
    assert.deepEqual(arrange([a, b, c], [changed, c, a], 100), [a, c, changed]);
  });

  it('gives what is chosen once each, within the room, whatever is held', () => {
    const next = uniformStream('arrange');
    const pick = <T>(all: readonly T[]): T[] =>
      all.filter(() => next() < 0.6).sort(() => next() - 0.5);
    const all = Array.from({ length: 8 }, (_, i) => part(String(i), 1 + Math.floor(next() * 30)));
    let held: readonly Part[] = [];
    for (let round = 0; round < 500; round++) {
      const wanted = pick(all);
      const room = Math.floor(next() * 120);
      const given = arrange(held, wanted, room);
      assert.equal(new Set(given).size, given.length);
      assert.ok(given.every((one) => wanted.includes(one)));
      assert.ok(given.reduce((sum, { tokens }) => sum + tokens.length, 0) <= room);
      const firstLeft = wanted.find((one) => !given.includes(one));
      const more = given.filter(
        (one) => firstLeft === undefined || wanted.indexOf(one) < wanted.indexOf(firstLeft),
      );
      const taken = more.reduce((sum, { tokens }) => sum + tokens.length, 0);
      if (firstLeft !== undefined) assert.ok(taken + firstLeft.tokens.length > room);
      held = given;
    }
  });
});

describe('what a part shows', () => {
  it('is unchanged where only that changed which every prompt shows as it is', async () => {
    const { model } = await loadFake();
    const before = document('a.ts', 'one\ntwo\nthree\nfour\n');
    const settled = await settle(model, candidate(before), 1000);
    assert.equal(String.fromCharCode(...settled.tokens.slice(1)), 'a.ts\none\ntwo\nthree\nfour\n');
    assert.deepEqual([settled.start, settled.end], [0, before.text.length]);
    assert.equal(settled.documentTokens, before.text.length);
    const now = document('a.ts', 'one\ntwo more\nthree\nfour\n');
    assert.ok(isSettled(settled, before, undefined));
    assert.ok(!isSettled(settled, now, undefined));
    assert.ok(isSettled(settled, now, { start: 4, end: 14 }));
    assert.ok(!isSettled(settled, now, { start: 8, end: 14 }));
  });

  it('is around the cursor where the document does not fit, and holds still while that moves a little', async () => {
    const { model } = await loadFake();
    const long = document('a.ts', 'line\n'.repeat(4000));
    const starts = new Set<number>();
    for (let cursor = 12_000; cursor < 12_256; cursor += 16) {
      const settled = await settle(model, candidate(long, cursor), 2000);
      assert.ok(settled.tokens.length <= 2000);
      assert.ok(settled.start < cursor && settled.end > cursor);
      assert.equal(settled.end - settled.start, settled.tokens.length - settled.headTokens);
      starts.add(settled.start);
    }
    assert.ok(starts.size <= 2);
    const end = await settle(model, candidate(long, long.text.length), 2000);
    assert.equal(end.end, long.text.length);
  });

  it('has line ends as models see them', async () => {
    const { model } = await loadFake();
    const settled = await settle(model, candidate(document('a', 'x\r\ny\r\n')), 100);
    assert.equal(String.fromCharCode(...settled.tokens.slice(1)), 'a\nx\ny\n');
  });

  it('finds the change between two texts', () => {
    assert.equal(changedRange('same', 'same'), undefined);
    assert.deepEqual(changedRange('abcd', 'abXcd'), { start: 2, end: 3 });
    assert.deepEqual(changedRange('abXcd', 'abcd'), { start: 2, end: 2 });
    assert.deepEqual(changedRange('aaa', 'aaaa'), { start: 3, end: 4 });
    assert.deepEqual(changedRange('', 'x'), { start: 0, end: 1 });
  });
});

describe('what no model is told', () => {
  it('is what looks like a secret, or is no text', () => {
    for (const name of ['.env', '.env.local', 'server.pem', 'id_rsa', '.npmrc', 'secrets.yaml'])
      assert.equal(untellable(document(`src/${name}`, 'a')), 'secret', name);
    for (const name of ['environment.ts', 'key.ts', 'monkey', 'secretary.md', 'pem.ts', 'env.ts'])
      assert.equal(untellable(document(name, 'a')), undefined, name);
    assert.equal(untellable(document('a.bin', 'a\0b')), 'binary');
  });
});

describe('StableContext', () => {
  it('is filled with what is wanted, and evaluates only what changed and what is behind it', async () => {
    const { model, native } = await loadFake();
    const context = new StableContext(model, 1000);
    const parts = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        settle(model, candidate(document(name, name.repeat(50))), 1000),
      ),
    );
    const [a, b, c] = parts;
    assert.ok(a && b && c);
    await context.fill([c, b, a], [], never);
    assert.deepEqual(
      context.prefix.files.map(({ uri, tokens }) => [uri, tokens]),
      [
        ['file:///a', 50],
        ['file:///b', 50],
        ['file:///c', 50],
      ],
    );
    assert.equal(native.requests.at(-1)?.maxTokens, 0);
    await context.fill([a, b, c], [], never);
    assert.equal(native.requests.length, 1);
    const changed = await settle(model, candidate(document('b', 'x')), 1000);
    await context.fill([changed, c, a], [], never);
    assert.equal(native.requests.length, 2);
    assert.deepEqual(
      context.prefix.files.map(({ uri }) => uri),
      ['file:///a', 'file:///c', 'file:///b'],
    );
    assert.deepEqual(context.prefix.tokens, native.requests.at(-1)?.tokens);
    // What is no longer wanted at the end is cut without evaluating anything.
    await context.fill([c, a], [], never);
    assert.equal(native.requests.length, 2);
    assert.equal(context.prefix.files.length, 2);
  });

  it('starts with the token that texts start with', async () => {
    const { model } = await loadFake({ info: { bos: 7, addBos: true } });
    const context = new StableContext(model, 1000);
    assert.equal(context.prefix.tokens.length, 0);
    await context.fill([await settle(model, candidate(document('a', 'text')), 1000)], [], never);
    assert.equal(context.prefix.tokens[0], 7);
    assert.equal(context.prefix.files[0]?.tokens, 4);
  });

  it('begins anew behind another head', async () => {
    const { model } = await loadFake({ info: { bos: 7, addBos: true } });
    const context = new StableContext(model, 1000);
    context.setHead([7, 260, 1]);
    const part = await settle(model, candidate(document('a', 'text')), 1000);
    await context.fill([part], [], never);
    const { tokens, files, ends } = context.prefix;
    assert.deepEqual([...tokens.subarray(0, 3)], [7, 260, 1]);
    assert.equal(files[0]?.tokens, 4);
    assert.equal(ends[0], 3 + part.tokens.length);
    context.setHead([7, 260, 1]);
    assert.equal(context.prefix.files.length, 1);
    context.setHead([7]);
    assert.equal(context.prefix.tokens.length, 0);
  });
});

describe('repositoryHead', () => {
  it('names the repository where the model has a marker for it', async () => {
    const { model } = await loadFake({ info: { bos: 7, addBos: true } });
    const { info } = model.native;
    const name = await model.tokenizer.tokenize('sightline\n');
    assert.deepEqual(await repositoryHead(info, model.tokenizer, 'sightline'), [
      7,
      info.fim.repository,
      ...name,
    ]);
    assert.deepEqual(await repositoryHead(info, model.tokenizer, ''), [7]);
    const unmarked = { ...info, fim: { ...info.fim, repository: -1 } };
    assert.deepEqual(await repositoryHead(unmarked, model.tokenizer, 'sightline'), [7]);
    const untrained = { ...info, name: 'sightline-tiny-code' };
    assert.deepEqual(await repositoryHead(untrained, model.tokenizer, 'sightline'), [7]);
  });
});

describe('ContextKeeper', () => {
  const unexpected = ({ code, message }: Failure): void => {
    throw new Error(`${code}: ${message}`);
  };
  const cursor = { cursor: 0, shown: { start: 0, end: 0 } };

  it('settles what is open once nothing happens any more, the latest in use last', async () => {
    const { model, native } = await loadFake();
    const long = 'x'.repeat(600);
    const open = [document('a', long), document('.env', 'KEY=1'), document('b', 'bbb')];
    let filled = 0;
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => open,
      sources: openOnly(),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => filled++,
      onFailure: unexpected,
    });
    keeper.note('file:///a', cursor);
    keeper.wait(model);
    assert.equal(keeper.take(model, 'file:///a').tokens.length, 0);
    await sleep(20);
    assert.equal(native.requests.length, 0);
    keeper.wait(model);
    while (filled < 2) await sleep(1);
    const files = keeper.take(model, 'file:///a').files.map(({ uri }) => uri);
    assert.deepEqual(files, ['file:///b', 'file:///a']);
    // A file that was closed is gone at once, with what is behind it.
    open.pop();
    assert.deepEqual(keeper.take(model, 'file:///a').files, []);
  });

  it('begins with the name of the repository, and anew under another one', async () => {
    const { model, native } = await loadFake();
    let repository = 'ours';
    const keeper = new ContextKeeper({
      repository: () => repository,
      documents: () => [document('a', 'aaa'), document('b', 'bbb')],
      sources: openOnly(),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: unexpected,
    });
    const start = async (): Promise<string> => {
      await keeper.fill(model, never);
      const { tokens } = keeper.take(model, 'file:///a');
      assert.equal(tokens[0], native.info.fim.repository);
      return String.fromCharCode(...tokens.subarray(1, 6));
    };
    assert.equal(await start(), 'ours\n');
    repository = 'their';
    assert.equal(await start(), 'their');
    const given = new AbortController();
    given.abort();
    repository = 'again';
    await keeper.fill(model, given.signal);
    assert.equal(keeper.take(model, 'file:///a').files.length, 1);
  });

  it('leaves out the document in use where the lines around the cursor are all of it', async () => {
    const { model } = await loadFake();
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => [
        document('a', 'aaa'),
        document('empty', ''),
        document('b', 'bbb'),
        document('c', 'ccc'),
      ],
      sources: openOnly(),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: unexpected,
    });
    const inSight = async (): Promise<string[]> => {
      await keeper.fill(model, never);
      return keeper.take(model, 'file:///a').files.map(({ uri }) => uri);
    };
    // Without any use, the one opened last.
    assert.deepEqual(await inSight(), ['file:///a', 'file:///b']);
    keeper.note('file:///b', cursor);
    assert.deepEqual(await inSight(), ['file:///a', 'file:///c']);
  });

  it('shows what git ignores to requests for that document only', async () => {
    const { model } = await loadFake();
    const folder = folderWith({ '.gitignore': 'ignored.ts\n' });
    const [ignored, other] = ['ignored.ts', 'other.ts'].map((name) => ({
      uri: uriOf(join(folder, name)),
      name,
      text: `${name} `.repeat(100),
    }));
    assert.ok(ignored && other);
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => [ignored, other],
      sources: new ContextSources({
        folders: () => [{ uri: uriOf(folder), name: 'app' }],
        pinned: () => [],
        searches: () => false,
        definitions: () => Promise.resolve([]),
      }),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: unexpected,
    });
    keeper.note(ignored.uri, cursor);
    await keeper.fill(model, never);
    const inSight = (uri: string): string[] =>
      keeper.take(model, uri).files.map((file) => file.uri);
    assert.deepEqual(inSight(ignored.uri), [other.uri, ignored.uri]);
    assert.deepEqual(inSight(other.uri), [other.uri]);
  });

  it('leaves a part as it is while the prompt shows what was changed', async () => {
    const { model, native } = await loadFake();
    const rest = ' and so on'.repeat(100);
    let text = `one two three${rest}`;
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => [document('a', text)],
      sources: openOnly(),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: unexpected,
    });
    keeper.note('file:///a', cursor);
    await keeper.fill(model, never);
    text = `one 2 two three${rest}`;
    keeper.note('file:///a', { cursor: 5, shown: { start: 4, end: 6 } });
    await keeper.fill(model, never);
    assert.equal(native.requests.length, 1);
    keeper.note('file:///a', { cursor: 15, shown: { start: 9, end: 15 } });
    await keeper.fill(model, never);
    assert.equal(native.requests.length, 2);
  });

  it('leaves room for longer completions as soon as they are asked for', async () => {
    const { model } = await loadFake();
    let maxTokens = 64;
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => [document('a', 'x'.repeat(5000))],
      sources: openOnly(),
      maxTokens: () => maxTokens,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: unexpected,
    });
    await keeper.fill(model, never);
    const tokens = (): number => keeper.take(model, 'file:///a').tokens.length;
    assert.equal(tokens(), 4096 - 512 - 64 - 64);
    maxTokens = 1024;
    assert.equal(tokens(), 4096 - 512 - 1024 - 64);
    maxTokens = 64;
    await keeper.fill(model, never);
    assert.equal(tokens(), 4096 - 512 - 64 - 64);
  });

  it('says that there is no memory for all of it, and goes on with less', async () => {
    const { model, native } = await loadFake({ completeError: new FakeError('CACHE_EXHAUSTED') });
    const failures: string[] = [];
    const keeper = new ContextKeeper({
      repository: () => '',
      documents: () => [document('a', 'x'.repeat(2000))],
      sources: openOnly(),
      maxTokens: () => 64,
      idleMs: 1,
      onFill: () => undefined,
      onFailure: ({ code }) => failures.push(code),
    });
    keeper.wait(model);
    while (failures.length === 0) await sleep(1);
    assert.deepEqual(failures, ['CACHE_EXHAUSTED']);
    assert.equal(keeper.take(model, 'file:///a').tokens.length, 0);
    await keeper.fill(model, never);
    assert.equal(native.requests.length, 1);
  });

  it('leaves room for the lines around the cursor', () => {
    assert.equal(liveTokensOf(65_536), 512);
    assert.equal(liveTokensOf(1024), 256);
  });
});
