import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import {
  closeEditors,
  completeHere,
  openText,
  ready,
  until,
  type SightlineApi,
} from './sightline.ts';

const source = 'const first = 1;\nconst second = 2;\nconst third =';

/** Writes the workspace's settings as a person would, so that also keys nobody registered get there. */
async function writeSettings(settings: Readonly<Record<string, unknown>>): Promise<void> {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  assert(folder !== undefined);
  await mkdir(path.join(folder, '.vscode'), { recursive: true });
  await writeFile(path.join(folder, '.vscode/settings.json'), JSON.stringify(settings));
}

const setting = (key: string): unknown => vscode.workspace.getConfiguration('sightline').get(key);

describe('settings', () => {
  let api: SightlineApi;
  before(async () => {
    api = await ready();
  });
  afterEach(async () => {
    await closeEditors();
    await writeSettings({});
    await until('the defaults', () =>
      setting('cache.policy') === 'selective' && setting('enable') === true ? true : undefined,
    );
    await ready();
  });
  after(async () => {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
    if (folder !== undefined) await rm(path.join(folder, '.vscode'), { recursive: true });
  });

  it('that nobody knows, or of a wrong type, break nothing', async () => {
    await writeSettings({
      'sightline.noSuchSetting': { nested: [1, 2, 3] },
      'sightline.completion.maxTokens': 'many',
      'sightline.threads': -4,
      'sightline.cache.window': null,
      'sightline.context.pinned': 'all',
    });
    await until('the change', () => (setting('noSuchSetting') === undefined ? undefined : true));
    const added = await completeHere(await openText(source));
    assert(added.length > 0);
    assert.notEqual(api.status()?.state, 'error');
  });

  it('of the cache take effect without a restart of VS Code', async () => {
    await writeSettings({ 'sightline.cache.policy': 'full' });
    await until('the change', () => (setting('cache.policy') === 'full' ? true : undefined));
    await completeHere(await openText(source));
    const stats = await until('a cache of policy full', () => {
      const latest = api.stats();
      return latest?.policy === 'full' ? latest : undefined;
    });
    assert.equal(
      stats.tiers.some((tier) => tier.name === 'int8' && tier.tokens > 0),
      false,
    );
  });

  for (const [what, settings] of [
    ['completions', { 'sightline.enable': false }],
    ["completions of a document's language", { '[typescript]': { 'sightline.enable': false } }],
  ] as const) {
    it(`switch ${what} off`, async () => {
      const isOff = (languageId: string): boolean =>
        vscode.workspace.getConfiguration('sightline', { languageId }).get('enable') === false;
      await writeSettings(settings);
      await until('the change', () => (isOff('typescript') ? true : undefined));
      assert.equal(isOff('python'), 'sightline.enable' in settings);
      const before = api.stats();
      // Another provider shows that VS Code did ask: what it offers is all there is.
      const other = vscode.languages.registerInlineCompletionItemProvider('*', {
        provideInlineCompletionItems: () => [new vscode.InlineCompletionItem(' 3;')],
      });
      const editor = await openText(source);
      const added = await completeHere(editor).finally(() => {
        other.dispose();
      });
      assert.equal(added, ' 3;');
      assert.equal(api.stats()?.inSight?.uri, before?.inSight?.uri);
    });
  }
});
