import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { closeEditors, completeHere, extension, openText, ready, until } from './sightline.ts';

const setting = (): unknown => vscode.workspace.getConfiguration('sightline').get('model.path');

describe('models', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sightline-models-'));
  afterEach(closeEditors);
  after(async () => {
    await vscode.commands.executeCommand('sightline.chooseModel', '');
    await until('the bundled model', () => (setting() === '' ? true : undefined));
    await ready();
    rmSync(folder, { recursive: true });
  });

  it('are switched without a restart', async () => {
    const api = await ready();
    const pid = api.sidecarPid();
    await completeHere(await openText('const first = 1;\nconst second ='));
    const own = path.join(folder, 'own.gguf');
    const bundled = path.join(
      extension().extensionPath,
      'media/models/sightline-tiny-code-q8_0.gguf',
    );
    copyFileSync(bundled, own);
    const overrides = { 'own.gguf': { contextTokens: 1024 } };
    const settings = vscode.workspace.getConfiguration('sightline');
    await settings.update('model.overrides', overrides, vscode.ConfigurationTarget.Global);
    await vscode.commands.executeCommand('sightline.chooseModel', own);
    await until('the setting', () => (setting() === own ? true : undefined));
    await until('its own context', () => (api.stats()?.contextTokens === 1024 ? true : undefined));
    assert.equal(api.sidecarPid(), pid);
    await ready();
    await completeHere(await openText('const first = 1;\nconst second ='));
    await settings.update('model.overrides', undefined, vscode.ConfigurationTarget.Global);
    await until('the whole context', () =>
      api.stats()?.contextTokens === 8192 ? true : undefined,
    );
  });

  it('are downloaded from the hub, and used', async function () {
    // run.ts starts one on this machine.
    if (process.env['HF_ENDPOINT'] === undefined) this.skip();
    const api = await ready();
    const settings = vscode.workspace.getConfiguration('sightline');
    const overrides = { 'tiny-code-1k-q8_0.gguf': { contextTokens: 1024 } };
    await settings.update('model.overrides', overrides, vscode.ConfigurationTarget.Global);
    await vscode.commands.executeCommand('sightline.downloadModel', {
      repository: 'tests/Tiny-Code-GGUF',
      file: 'tiny-code-1k-q8_0.gguf',
      use: true,
    });
    const found = String(setting());
    assert.match(
      found,
      /models--tests--Tiny-Code-GGUF.snapshots.[0-9a-f]{40}.tiny-code-1k-q8_0\.gguf$/,
    );
    assert.ok(existsSync(found));
    await until('its own context', () => (api.stats()?.contextTokens === 1024 ? true : undefined));
    await settings.update('model.overrides', undefined, vscode.ConfigurationTarget.Global);
    await completeHere(await openText('const first = 1;\nconst second ='));
  });
});
