import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import type { NextEdit } from '../../../sidecar/protocol.ts';
import { closeEditors, openText, ready, until, type SightlineApi } from './sightline.ts';

const source = `const count = 1;
console.log(count);
console.log("count");
console.log(count);
`;
const renamed = source.replaceAll(/\bcount\b(?!")/g, 'total');

/** Replaces the first `from` in the active editor as typing does, and puts the cursor behind it. */
async function change(editor: vscode.TextEditor, from: string, to: string): Promise<void> {
  const { document } = editor;
  const start = document.positionAt(document.getText().indexOf(from));
  const range = new vscode.Range(start, start.translate(0, from.length));
  editor.selection = new vscode.Selection(range.start, range.end);
  await vscode.commands.executeCommand('type', { text: to });
}

describe('next edits', () => {
  let api: SightlineApi;
  const setting = (name: string, value: boolean | undefined): Thenable<void> =>
    vscode.workspace.getConfiguration().update(name, value, vscode.ConfigurationTarget.Global);
  const enable = (): Thenable<void> => setting('sightline.nextEdit.enable', true);
  before(async () => {
    api = await ready();
    // Completions go first, and would come and go here as they like.
    await setting('editor.inlineSuggest.enabled', false);
  });
  after(() => setting('editor.inlineSuggest.enabled', undefined));
  afterEach(async () => {
    await closeEditors();
    await setting('sightline.nextEdit.enable', undefined);
  });

  const offered = (line: number): Promise<NextEdit> =>
    until(`an offer in line ${line}`, () => {
      const offer = api.nextEdit();
      return offer?.range.start.line === line ? offer : undefined;
    });

  it('are offered for a rename, accepted by Tab, and undone one by one', async () => {
    await enable();
    const editor = await openText(source);
    const { document } = editor;
    await change(editor, 'count', 'total');
    const { newText, why } = await offered(1);
    assert.equal(newText, 'total');
    assert.deepEqual(why, { kind: 'rename', from: 'count', to: 'total' });
    const before = document.getText();
    await vscode.commands.executeCommand('sightline.acceptNextEdit');
    const between = document.getText();
    assert.equal(between, before.replace('log(count)', 'log(total)'));
    await offered(3);
    await vscode.commands.executeCommand('sightline.acceptNextEdit');
    assert.equal(document.getText(), renamed);
    await until('the end of offers', () => (api.nextEdit() === undefined ? true : undefined));
    await vscode.commands.executeCommand('undo');
    assert.equal(document.getText(), between);
    await vscode.commands.executeCommand('undo');
    assert.equal(document.getText(), before);
    assert.equal(api.nextEdit(), undefined);
  });

  it('are reached first where they are out of view', async () => {
    await enable();
    const far = `${source.split('\n', 1)[0] ?? ''}\n${'\n'.repeat(300)}console.log(count);\n`;
    const editor = await openText(far);
    await change(editor, 'count', 'total');
    editor.revealRange(new vscode.Range(0, 0, 0, 0));
    await offered(301);
    await until('the beginning', () => editor.visibleRanges[0]?.start.line === 0 || undefined);
    const before = editor.document.getText();
    await vscode.commands.executeCommand('sightline.acceptNextEdit');
    assert.equal(editor.document.getText(), before);
    assert.equal(editor.selection.active.line, 301);
    await until('the place', () =>
      editor.visibleRanges.some(({ start, end }) => start.line <= 301 && 301 <= end.line)
        ? true
        : undefined,
    );
    await vscode.commands.executeCommand('sightline.acceptNextEdit');
    assert.equal(editor.document.lineAt(301).text, 'console.log(total);');
  });

  it('are dismissed by Escape, and withdrawn by other edits', async () => {
    await enable();
    const editor = await openText(source);
    await change(editor, 'count', 'total');
    await offered(1);
    await vscode.commands.executeCommand('sightline.dismissNextEdit');
    assert.equal(api.nextEdit(), undefined);
    const text = editor.document.getText();
    await vscode.commands.executeCommand('sightline.acceptNextEdit');
    assert.equal(editor.document.getText(), text);
    // Another name is another change.
    await change(editor, 'total', 'sum');
    await offered(1);
    await editor.edit((builder) => {
      builder.insert(new vscode.Position(4, 0), '// end\n');
    });
    assert.equal(api.nextEdit(), undefined);
  });

  it('are off by default: nothing is followed before they are on', async () => {
    const editor = await openText(source);
    await change(editor, 'count', 'total');
    assert.equal(api.nextEdit(), undefined);
    await enable();
    await change(editor, 'console', 'logger');
    assert.deepEqual((await offered(2)).why, { kind: 'rename', from: 'console', to: 'logger' });
  });
});
