import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import {
  closeEditors,
  completeHere,
  openText,
  ready,
  until,
  type SightlineApi,
} from './sightline.ts';

const source = `export function sumOfSquares(values: number[]): number {
  let total = 0;
  for (const value of values) {
    total += value * value;
  }
  return total;
}

export function sumOfCubes(values: number[]): number {
  let total = 0;
  for (const value of values) {
`;

describe('inline completion', () => {
  let api: SightlineApi;
  before(async () => {
    api = await ready();
  });
  afterEach(closeEditors);

  it('is committed into the document', async () => {
    const added = await completeHere(await openText(source));
    assert(added.trim().length > 0);
  });

  it('is the same for the same text', async () => {
    const first = await completeHere(await openText(source));
    await closeEditors();
    const second = await completeHere(await openText(source));
    assert.equal(second, first);
  });

  it('leaves what follows the cursor in place', async () => {
    const editor = await openText(`${source}\n  }\n  return total;\n}\n`);
    const cursor = editor.document.positionAt(source.length);
    editor.selection = new vscode.Selection(cursor, cursor);
    // completeHere asserts that prefix and suffix are as they were.
    const added = await completeHere(editor);
    assert(added.length > 0);
  });

  it('is accepted word by word, and the rest at once', async () => {
    const whole = await completeHere(await openText(source));
    await closeEditors();
    const editor = await openText(source);
    const { document } = editor;
    while (document.getText() === source) {
      await vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
      await vscode.commands.executeCommand('editor.action.inlineSuggest.acceptNextWord');
    }
    const word = document.getText().slice(source.length);
    assert(word.length < whole.length && whole.startsWith(word), JSON.stringify([word, whole]));
    const rest = await completeHere(editor);
    assert.equal(word + rest, whole);
  });

  it('works beside another version of a file', async () => {
    const left = await vscode.workspace.openTextDocument({ content: 'const before = 1;\n' });
    const right = await vscode.workspace.openTextDocument({
      language: 'typescript',
      content: source,
    });
    await vscode.commands.executeCommand('vscode.diff', left.uri, right.uri);
    const editor = await until('the right side', () => {
      const active = vscode.window.activeTextEditor;
      return active?.document === right ? active : undefined;
    });
    const end = right.positionAt(source.length);
    editor.selection = new vscode.Selection(end, end);
    assert((await completeHere(editor)).length > 0);
  });

  it('works in the cell of a notebook', async () => {
    const cell = new vscode.NotebookCellData(
      vscode.NotebookCellKind.Code,
      'def total(values):\n    result = 0\n    for value in',
      'python',
    );
    const notebook = await vscode.workspace.openNotebookDocument(
      'jupyter-notebook',
      new vscode.NotebookData([cell]),
    );
    await vscode.window.showNotebookDocument(notebook);
    await vscode.commands.executeCommand('notebook.cell.edit');
    const editor = await until('the editor of the cell', () => {
      const active = vscode.window.activeTextEditor;
      return active?.document.uri.scheme === 'vscode-notebook-cell' ? active : undefined;
    });
    const end = editor.document.positionAt(editor.document.getText().length);
    editor.selection = new vscode.Selection(end, end);
    assert((await completeHere(editor)).length > 0);
    assert.equal(api.stats()?.inSight?.uri, editor.document.uri.toString());
  });

  it('reports what the cache holds and what was in sight', async () => {
    const editor = await openText(source);
    await completeHere(editor);
    const uri = editor.document.uri.toString();
    const stats = await until('statistics of this document', () => {
      const latest = api.stats();
      return latest?.inSight?.uri === uri ? latest : undefined;
    });
    const sum = (key: 'bytes' | 'tokens') =>
      stats.tiers.reduce((total, tier) => total + tier[key], 0);
    assert.equal(sum('bytes'), stats.bytes);
    assert(stats.tokens > 0 && stats.tokens <= stats.contextTokens);
    assert(stats.bytes <= stats.reservedBytes);
    assert(stats.inSight && stats.inSight.prefixTokens > 0);
    assert.equal(stats.inSight.omittedBefore + stats.inSight.omittedAfter, 0);
    assert((stats.decodeTokensPerSecond ?? 0) > 0);
  });

  it('shows what the model saw, on a page that it never sees', async () => {
    const editor = await openText(source);
    await completeHere(editor);
    const uri = editor.document.uri.toString();
    await until('statistics of this document', () =>
      api.stats()?.inSight?.uri === uri ? true : undefined,
    );
    await vscode.commands.executeCommand('sightline.showContext');
    const page = vscode.window.activeTextEditor?.document;
    assert.equal(page?.uri.scheme, 'sightline');
    assert.match(page.getText(), /^# What the model saw/);
    assert.ok(page.getText().includes(`## ${uri}: `));
    assert.ok(page.getText().includes(source.trimEnd().split('\n').at(-1) ?? ''));
  });
});
