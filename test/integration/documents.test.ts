/** Documents, folders and settings that are hard to serve: each is served, and the sidecar goes on. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { uriOf } from '../../sidecar/context/workspace.ts';
import { ContextRequest, type FileInSight } from '../../sidecar/protocol.ts';
import { Editor } from '../unit/support/editor.ts';
import { folderWith } from '../unit/support/folder.ts';
import { settings, source, startSidecar, stopSidecar, type Sidecar } from './support.ts';

async function withSidecar(
  use: (sidecar: Sidecar, editor: Editor) => Promise<void>,
  more: object = {},
  folder?: string,
): Promise<void> {
  const sidecar = startSidecar();
  const folders = folder === undefined ? [] : [{ uri: uriOf(folder), name: 'app' }];
  const context = { ...settings, cache: { keepOnDisk: false }, ...more };
  await sidecar.client.initialize(context, folders);
  await use(sidecar, new Editor(sidecar.client));
  assert.equal(await stopSidecar(sidecar), 0);
}

const filesOf = ({ client }: Sidecar): readonly FileInSight[] =>
  client.stats.at(-1)?.inSight?.files ?? [];

/** What the model saw for the latest completion. */
const contextOf = ({ client }: Sidecar): Promise<string | null> =>
  client.connection.sendRequest(ContextRequest);

describe('a document', () => {
  it('of one line of 2 MB gets completions, and as much of it as there is room for is in sight', () =>
    withSidecar(async (sidecar, editor) => {
      const text = `const all = [${'"some text", '.repeat(160_000)}`;
      assert.ok(text.length > 1.9e6);
      await editor.open('file:///line.ts', text);
      for (const offset of [text.length, text.indexOf(' ', 1_000_000)]) {
        editor.go('file:///line.ts', offset);
        await editor.ask();
        assert.equal(sidecar.client.statuses.at(-1)?.state, 'ready');
      }
      await sidecar.client.until(() => filesOf(sidecar).some(({ tokens }) => tokens > 6000));
      const sight = sidecar.client.stats.at(-1)?.inSight;
      assert.ok((sight?.documentTokens ?? 0) > 300_000);
    }));

  it('with mixed line ends is shown with one kind, and answered with that of the lines around', () =>
    withSidecar(async (sidecar, editor) => {
      const text = `${source(20).replaceAll('}\n', '}\r\n')}export function last(value: number): number {\r\n`;
      await editor.open('file:///mixed.ts', text);
      editor.go('file:///mixed.ts', text.length);
      const offered = await editor.ask();
      assert.ok(!/(?<!\r)\n/.test(offered), JSON.stringify(offered));
      const context = await contextOf(sidecar);
      assert.ok(context?.includes('export function last') && !context.includes('\r'));
    }));

  it('is never cut inside a character', () =>
    withSidecar(async (sidecar, editor) => {
      for (const shift of ['', 'x']) {
        const uri = `file:///emoji${shift}.ts`;
        const text = `// ${shift}${'😀中é'.repeat(20_000)}\nconst a = `;
        await editor.open(uri, text);
        for (const offset of [text.length, 40_001, 40_002, 40_003]) {
          editor.go(uri, offset);
          await editor.ask();
          assert.ok(!(await contextOf(sidecar))?.includes('\uFFFD'), `${shift} ${offset}`);
        }
      }
    }));

  it('that is edited faster than anyone types is what it should be in the end', () =>
    withSidecar(async ({ client }, editor) => {
      const uri = 'file:///storm.ts';
      await editor.open(uri, source(40));
      editor.go(uri, source(20).length);
      const asked: Promise<unknown>[] = [];
      for (let i = 0; i < 3000; i++) {
        await editor.replace(i % 3 === 2 ? 2 : 0, i % 7 === 0 ? '\n' : 'a');
        if (i % 10 === 0) asked.push(editor.ask().catch(() => undefined));
      }
      await Promise.all(asked);
      await editor.replace(0, '\nexport const total = add1(');
      await editor.ask();
      await client.until(() => client.statuses.at(-1)?.state === 'ready');
      const context = await client.connection.sendRequest(ContextRequest);
      assert.ok(context?.includes('\nexport const total = add1('));
    }));
});

describe('a folder', () => {
  const folder = folderWith({});

  it('of 50 000 files is not searched: what a file imports is in sight', async () => {
    for (let i = 0; i < 500; i++) {
      mkdirSync(join(folder, `part${i}`));
      for (let j = 0; j < 100; j++) writeFileSync(join(folder, `part${i}`, `file${j}.ts`), '');
    }
    writeFileSync(join(folder, 'part7', 'file7.ts'), source(10));
    await withSidecar(
      async (sidecar, editor) => {
        const uri = uriOf(join(folder, 'part1', 'main.ts'));
        const text = `import { add1 } from '../part7/file7';\n${source(20)}export const total = add1(`;
        await editor.open(uri, text);
        editor.go(uri, text.length);
        await editor.ask();
        await sidecar.client.until(() => filesOf(sidecar).length === 2);
        assert.deepEqual(
          filesOf(sidecar).map(({ source }) => source),
          ['import', 'open'],
        );
      },
      {},
      folder,
    );
  });

  it('has a file that changes on disk: the context follows', async () => {
    const path = join(folder, 'pinned.ts');
    writeFileSync(path, `${source(5)}const before = 1;\n`);
    await withSidecar(
      async (sidecar, editor) => {
        const uri = uriOf(join(folder, 'main.ts'));
        await editor.open(uri, 'const a = ');
        editor.go(uri, 10);
        await editor.ask();
        await sidecar.client.until(() => filesOf(sidecar).length === 1);
        writeFileSync(path, `${source(6)}const after = 1;\n`);
        const [{ tokens } = { tokens: 0 }] = filesOf(sidecar);
        await editor.replace(0, '1;\nconst b = ');
        await sidecar.client.until(() => filesOf(sidecar).some((file) => file.tokens > tokens));
        await editor.ask();
        assert.ok((await contextOf(sidecar))?.includes('const after = 1;'));
        assert.ok(!(await contextOf(sidecar))?.includes('const before = 1;'));
      },
      { context: { pinned: ['pinned.ts'] } },
      folder,
    );
  });
});

describe('settings', () => {
  const [first, second] = [source(60), source(60).replaceAll('add', 'sum')];

  /** Works in the second of two files. */
  async function work(sidecar: Sidecar, editor: Editor): Promise<void> {
    await editor.open('file:///first.ts', first);
    await editor.open('file:///second.ts', second);
    editor.go('file:///second.ts', second.length);
    await editor.ask();
    assert.ok(sidecar.client.stats.at(-1)?.inSight !== undefined);
  }

  it('of a context of 2048 tokens leave room for the lines around the cursor, and say what has none', () =>
    withSidecar(
      async (sidecar, editor) => {
        await work(sidecar, editor);
        const sight = () => sidecar.client.stats.at(-1)?.inSight;
        await sidecar.client.until(() => (sight()?.leftOut.length ?? 0) > 0);
        const { files = [], leftOut = [] } = sight() ?? {};
        assert.deepEqual(leftOut, [{ uri: 'file:///first.ts', reason: 'room' }]);
        assert.equal(files[0]?.uri, 'file:///second.ts');
        assert.ok(files[0].tokens < files[0].documentTokens);
        await editor.replace(0, '\nexport const more = sum7(');
        await editor.ask();
        assert.equal(sidecar.client.statuses.at(-1)?.state, 'ready');
      },
      { model: { contextTokens: 2048 } },
    ));

  it('of a context larger than the memory it may take leave less in sight, and say so', () =>
    withSidecar(
      async (sidecar, editor) => {
        const { client } = sidecar;
        await work(sidecar, editor);
        await client.until(() => client.statuses.some(({ state }) => state === 'warning'));
        const warning = client.statuses.findLast(({ state }) => state === 'warning');
        assert.match(warning?.message ?? '', /\[CACHE_EXHAUSTED\]$/);
        await editor.replace(0, '\nexport const more = sum7(');
        await editor.ask();
        assert.equal(client.statuses.at(-1)?.state, 'ready');
        assert.ok((client.stats.at(-1)?.bytes ?? Infinity) <= 2 * 2 ** 20);
      },
      { cache: { budgetMiB: 2, selfCheck: false, keepOnDisk: false } },
    ));
});
