import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { cacheSettings, changeSetting, chooseProfile } from '../../../extension/memory/settings.ts';
import {
  closeEditors,
  completeHere,
  openText,
  ready,
  until,
  type SightlineApi,
} from './sightline.ts';

const source = 'const first = 1;\nconst second = 2;\nconst third =';

describe('the memory view', () => {
  let api: SightlineApi;
  before(async () => {
    api = await ready();
  });
  afterEach(closeEditors);
  after(() => vscode.commands.executeCommand('workbench.action.closePanel'));

  it('shows what the cache holds, and follows it', async () => {
    assert.deepEqual(api.memoryShown(), {}, 'it is in sight before it is asked for');
    await vscode.commands.executeCommand('sightline.showMemory');
    const first = await until('the page to be ready', () => {
      const shown = api.memoryShown();
      return shown.stats === undefined ? undefined : shown;
    });
    assert.equal(first.settings?.policy, 'selective');
    assert.ok(first.choices?.policy.some(({ value }) => value === 'compressed'));

    await completeHere(await openText(source));
    await until('the statistics of the completion', () => {
      const latest = api.stats();
      return latest?.inSight !== undefined && api.memoryShown().stats === latest ? true : undefined;
    });
  });

  it('shows the forecast of the loaded model', async () => {
    await vscode.commands.executeCommand('sightline.showMemory');
    const { forecast, stats } = await until('a forecast', () => {
      const { forecast, stats } = api.memoryShown();
      return forecast && stats ? { forecast, stats } : undefined;
    });
    const atEnd = (name: string): number =>
      forecast.policies.find(({ policy }) => policy === name)?.bytes.at(-1) ?? Number.NaN;
    assert.equal(forecast.tokens.at(-1), stats.contextTokens);
    assert.ok(atEnd('full') > atEnd('selective'));
    assert.ok(atEnd('selective') > atEnd('compressed'));
  });

  it('changes a setting where the user has it', async () => {
    const setting = () => vscode.workspace.getConfiguration('sightline.cache').inspect('sink');
    const { Global, Workspace } = vscode.ConfigurationTarget;
    const clear = async (): Promise<void> => {
      for (const target of [Workspace, Global])
        await vscode.workspace
          .getConfiguration('sightline.cache')
          .update('sink', undefined, target);
    };
    try {
      await changeSetting('sink', 24);
      assert.equal(setting()?.globalValue, 24);
      assert.equal(setting()?.workspaceValue, undefined);
      await vscode.workspace.getConfiguration('sightline.cache').update('sink', 8, Workspace);
      await changeSetting('sink', 32);
      assert.equal(setting()?.globalValue, 24);
      assert.equal(setting()?.workspaceValue, 32);
    } finally {
      await clear();
    }
  });

  it('uses a profile in place of what is set apart from it', async () => {
    const cache = () => vscode.workspace.getConfiguration('sightline.cache');
    const { Global } = vscode.ConfigurationTarget;
    const policyIs = (policy: string) => () => (api.stats()?.policy === policy ? true : undefined);
    try {
      await changeSetting('policy', 'hierarchical');
      await changeSetting('profile', 'quality');
      assert.deepEqual(cacheSettings().apart, ['policy']);
      assert.equal(cacheSettings().policy, 'hierarchical');
      await completeHere(await openText(source));
      await until('the policy that is set', policyIs('hierarchical'));
      // Whoever answers what it says then may have the policy back.
      void chooseProfile('quality');
      await until('the setting to go', () =>
        cache().inspect('policy')?.globalValue === undefined ? true : undefined,
      );
      assert.deepEqual(cacheSettings().apart, []);
      assert.equal(cacheSettings().policy, 'full');
      await until('the policy of the profile', policyIs('full'));
    } finally {
      for (const name of ['policy', 'profile']) await cache().update(name, undefined, Global);
      await vscode.commands.executeCommand('notifications.clearAll');
    }
    await until('the usual policy', policyIs('selective'));
  });

  it('forgets what it showed when it goes out of sight', async () => {
    await vscode.commands.executeCommand('sightline.showMemory');
    await until('the page to be ready', () => api.memoryShown().stats ?? undefined);
    await vscode.commands.executeCommand('workbench.action.closePanel');
    await until('the page to be gone', () =>
      Object.keys(api.memoryShown()).length === 0 ? true : undefined,
    );
  });
});

describe('the commands of the cache', () => {
  let api: SightlineApi;
  before(async () => {
    api = await ready();
  });
  afterEach(closeEditors);

  it('empty it', async () => {
    await completeHere(await openText(source));
    await until('tokens in the cache', () => ((api.stats()?.tokens ?? 0) > 0 ? true : undefined));
    await closeEditors();
    await vscode.commands.executeCommand('sightline.clearCache');
    await until('an empty cache', () => (api.stats()?.tokens === 0 ? true : undefined));
  });

  it('measure it on the file in front, and say what that means', async () => {
    await openText(
      'export function add(a: number, b: number): number {\n  return a + b;\n}\n'.repeat(20),
    );
    await vscode.commands.executeCommand('sightline.measureCache');
    const page = vscode.window.activeTextEditor?.document;
    assert.equal(page?.uri.scheme, 'sightline');
    const text = page.getText();
    assert.match(text, /^# Cache quality: Untitled/);
    assert.match(text, /\| Perplexity \| [\d.]+ \| [\d.]+ \|/);
    assert.match(text, /\*\*As good as FP16 on this file\.\*\*/);
  });
});
