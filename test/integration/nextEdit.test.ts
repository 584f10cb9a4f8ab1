/** Next edits with the bundled model, as an editor that is not VS Code asks for them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { CancellationTokenSource, LSPErrorCodes } from 'vscode-languageserver/node';
import { Editor } from '../unit/support/editor.ts';
import { settings, source, startSidecar, stopSidecar, type Sidecar } from './support.ts';

const isCancelled = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === LSPErrorCodes.RequestCancelled;

/** Of which the model can see how they go on. */
const sums = Array.from({ length: 8 }, (_, i) => `const sum${i} = add(left, right);\n`).join('');
const calls = `${source(40)}
function add(left: number): number {
  return left;
}

${sums}const last = add(left);
`;

describe('next edits', () => {
  let sidecar: Sidecar;
  let editor: Editor;
  before(async () => {
    sidecar = startSidecar();
    await sidecar.client.initialize({
      ...settings,
      completion: { maxTokens: 64 },
      cache: { keepOnDisk: false },
      nextEdit: { enable: true },
    });
    editor = new Editor(sidecar.client);
  });
  after(async () => {
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  /** Types at the first place of `text` in a document of its own. */
  async function typeAt(uri: string, text: string, place: string, typed: string): Promise<void> {
    await editor.open(uri, text);
    editor.go(uri, text.indexOf(place) + place.length);
    for (const letter of typed) await editor.replace(0, letter);
  }

  for (const [kind, lineEnd] of [
    ['', '\n'],
    [' with CRLF', '\r\n'],
  ] as const)
    it(`rename one place after the other in a file${kind}`, async () => {
      const uri = `file:///rename${lineEnd.length}.ts`;
      const use = 'export const used = [base, base + 1];\n// base\nlog("base", `${base}`);\n';
      const text = `${use}${source(30)}const base = 1;\n${use}`.replaceAll('\n', lineEnd);
      await typeAt(uri, text, 'const base', 'd');
      const lines: number[] = [];
      for (let edit = await editor.askNext(); edit !== null; edit = await editor.askNext()) {
        assert.deepEqual(edit.why, { kind: 'rename', from: 'base', to: 'based' });
        lines.push(edit.range.start.line);
        await editor.accept(edit);
      }
      const renamed = text
        .replaceAll('[base, base', '[based, based')
        .replaceAll('${base}', '${based}')
        .replace('const base', 'const based');
      assert.equal(editor.text, renamed);
      const [first = 0] = lines;
      assert.deepEqual(lines, [first, first, first + 2, 0, 0, 2]);
    });

  it('give a call the argument that it lacks, from the file in the cache', async () => {
    const uri = 'file:///calls.ts';
    await typeAt(uri, calls, 'left: number', ', right: number');
    const isCached = (): boolean =>
      sidecar.client.stats
        .at(-1)
        ?.inSight?.files.some((file) => file.uri === uri && file.tokens > 500) === true;
    // The request does not wait for the file; here it is to be there.
    editor.go(uri, editor.text.length);
    await editor.ask();
    await sidecar.client.until(isCached);
    const edit = await editor.askNext();
    assert.deepEqual(edit?.why, { kind: 'signature', function: 'add' });
    assert.equal(edit.newText, 'left, right');
    assert.ok(isCached());
    await editor.accept(edit);
    assert.ok(editor.text.endsWith('const last = add(left, right);\n'));
    assert.equal(await editor.askNext(), null);
  });

  it('end when they are cancelled, and when their document is closed', async () => {
    const [cancelled, closed] = ['file:///cancelled.ts', 'file:///closed.ts'];
    await typeAt(cancelled, calls, 'left: number', ', right: number');
    const token = new CancellationTokenSource();
    const first = editor.askNext(token.token);
    token.cancel();
    await assert.rejects(first, isCancelled);
    await typeAt(closed, calls, 'left: number', ', right: number');
    const second = assert.rejects(editor.askNext(), isCancelled);
    await editor.close(closed);
    await second;
    editor.go(cancelled, 0);
    assert.equal((await editor.askNext())?.newText, 'left, right');
    await sidecar.client.until(() => sidecar.client.statuses.at(-1)?.state === 'ready');
  });

  it('are none where nothing can be told', async () => {
    const bad = {
      'no grammar': ['file:///a.txt', 'const a1 = 1;\nf(a1);\n'],
      'one line of 2 MB': ['file:///line.ts', `const a1 = [${'a1, '.repeat(500_000)}];`],
      'NUL characters': ['file:///binary.ts', '\0\0'.repeat(100).concat('const a1 = 1;')],
      'nothing but errors': ['file:///errors.ts', '}}} const a1 ((( "\n'.repeat(100)],
    } as const;
    for (const [name, [uri, text]] of Object.entries(bad)) {
      await typeAt(uri, text, 'const a1', '2');
      const edit = await editor.askNext();
      // Of errors something may be told.
      assert.ok(edit === null || edit.newText === 'a12', name);
      await editor.close(uri);
    }
  });
});
