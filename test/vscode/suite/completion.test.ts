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
