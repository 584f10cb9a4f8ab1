import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ContextSources, type SourceOptions } from '../../../sidecar/context/sources.ts';
import { nameIn, uriOf } from '../../../sidecar/context/workspace.ts';
import { folderWith } from '../support/folder.ts';

const never = new AbortController().signal;

/** Lines that are like no others. */
const lines = (seed: string): string =>
  Array.from({ length: 20 }, (_, i) => `const ${seed}_${i} = ${i};`).join('\n');

const files = {
  'src/main.ts': `import './imported.ts';\nimport './ignored.ts';\n${lines('main')}`,
  'src/imported.ts': lines('imported'),
  'src/ignored.ts': lines('ignored'),
  'src/defined.ts': lines('defined'),
  'src/pinned.ts': lines('pinned'),
  'src/other.ts': lines('other'),
  'src/unused.ts': lines('unused'),
  'src/copy.ts': lines('other'),
  'src/.env': 'KEY=1',
  'src/hidden.ts': lines('hidden'),
  'src/bytes.ts': 'a\0b',
  '.gitignore': 'ignored.ts\n',
  '.sightlineignore': 'hidden.ts\n',
};

function workspaceWith(options: Partial<SourceOptions> = {}) {
  const folder = folderWith(files);
  const folders = [{ uri: uriOf(folder), name: 'app' }];
  const uriAt = (name: string): string => uriOf(join(folder, 'src', name));
  const sources = new ContextSources({
    folders: () => folders,
    pinned: () => ['src/pinned.ts', 'src/none.ts'],
    searches: () => true,
    definitions: () => Promise.resolve([{ uri: uriAt('defined.ts'), line: 2 }]),
    ...options,
  });
  const openOf = (names: readonly string[]) =>
    names.map((name) => {
      const uri = uriAt(name);
      return { uri, name: nameIn(folders, uri), text: files[`src/${name}` as keyof typeof files] };
    });
  const gather = async (used: readonly string[], unused: readonly string[] = []) => {
    const open = { used: openOf(used), unused: openOf(unused), focusOf: () => 7 };
    const { candidates, leftOut } = await sources.gather(open, never);
    return {
      candidates,
      chosen: candidates.map(({ document, source }) => `${document.name} ${source}`),
      leftOut: leftOut.map(({ uri, reason }) => `${nameIn(folders, uri)} ${reason}`),
    };
  };
  return { folder, sources, gather, uriAt };
}

describe('ContextSources', () => {
  it('takes the document in use, what is pinned, used, related and open, in that order', async () => {
    const { gather } = workspaceWith();
    const { candidates, chosen, leftOut } = await gather(['main.ts', 'other.ts'], ['unused.ts']);
    assert.deepEqual(chosen, [
      'src/main.ts open',
      'src/pinned.ts pinned',
      'src/other.ts open',
      'src/defined.ts definition',
      'src/imported.ts import',
      'src/unused.ts open',
    ]);
    // Of a large file what was looked at is kept, or where the name is defined.
    assert.deepEqual(
      candidates.map(({ focus }) => focus),
      [7, 0, 7, lines('defined').indexOf('const defined_2'), 0, 7],
    );
    assert.deepEqual(leftOut, ['src/none.ts missing']);
  });

  it('leaves out what no model is told, and what says nothing new, and says so', async () => {
    const { gather } = workspaceWith();
    const open = ['main.ts', 'other.ts', 'copy.ts', '.env', 'hidden.ts', 'bytes.ts', 'ignored.ts'];
    const { leftOut } = await gather(open);
    assert.deepEqual(leftOut, [
      'src/none.ts missing',
      'src/copy.ts duplicate',
      'src/.env secret',
      'src/hidden.ts ignored',
      'src/bytes.ts binary',
      'src/ignored.ts ignored',
    ]);
  });

  it('takes what git ignores only while it is in use', async () => {
    const { gather } = workspaceWith();
    const { candidates } = await gather(['ignored.ts', 'main.ts']);
    assert.deepEqual(
      candidates.slice(0, 3).map(({ document, onlyInUse }) => [document.name, onlyInUse]),
      [
        ['src/ignored.ts', true],
        ['src/pinned.ts', false],
        ['src/main.ts', false],
      ],
    );
  });

  it('keeps what was related, behind what is, while it is there', async () => {
    const { folder, gather } = workspaceWith();
    await gather(['main.ts']);
    assert.deepEqual((await gather(['other.ts'], ['main.ts'])).chosen, [
      'src/other.ts open',
      'src/pinned.ts pinned',
      'src/defined.ts definition',
      'src/main.ts open',
      'src/imported.ts import',
    ]);
    rmSync(join(folder, 'src/imported.ts'));
    const { chosen, leftOut } = await gather(['other.ts']);
    assert.ok(!chosen.includes('src/imported.ts import'));
    assert.deepEqual(leftOut, ['src/none.ts missing']);
  });

  it('looks at nothing but what is open and pinned where it is told so', async () => {
    const { gather } = workspaceWith({ searches: () => false });
    assert.deepEqual((await gather(['main.ts'])).chosen, [
      'src/main.ts open',
      'src/pinned.ts pinned',
    ]);
  });

  it('reads no file outside the folders', async () => {
    const outside = folderWith({ 'x.ts': lines('x') });
    const { gather } = workspaceWith({
      pinned: () => [join(outside, 'x.ts')],
      definitions: () => Promise.resolve([{ uri: uriOf(join(outside, 'x.ts')), line: 0 }]),
    });
    const { chosen, leftOut } = await gather(['main.ts']);
    assert.deepEqual(chosen, ['src/main.ts open', 'src/imported.ts import']);
    assert.deepEqual(leftOut, ['x.ts outside']);
  });

  it('says at once which documents are none of a model’s business', async () => {
    const { sources, uriAt } = workspaceWith();
    assert.equal(await sources.hides(uriAt('hidden.ts')), true);
    assert.equal(await sources.hides(uriAt('ignored.ts')), false);
    assert.equal(await sources.hides(uriAt('main.ts')), false);
    assert.equal(await sources.hides('untitled:Untitled-1'), false);
  });
});
