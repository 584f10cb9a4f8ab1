import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { closeEditors, ready } from './sightline.ts';

const diagnosis = async (): Promise<string> => {
  await vscode.commands.executeCommand('sightline.diagnose');
  const document = vscode.window.activeTextEditor?.document;
  assert.equal(document?.languageId, 'markdown');
  return document.getText();
};

describe('the GPU', () => {
  afterEach(closeEditors);

  it('is in the diagnosis, or why there is none', async () => {
    await ready();
    const text = await diagnosis();
    assert.match(text, /^# Sightline \d/);
    assert.match(text, /^- \*\*State:\*\* (ready|warning): .*, on /m);
    assert.match(text, /^- \*\*GPU:\*\* \S/m);
    assert.match(text, /"use": "auto"/);
  });

  it('gets no runtime where there is none, and the sidecar goes on', async function () {
    const api = await ready();
    if (!(await diagnosis()).includes('[GPU_UNAVAILABLE]')) this.skip();
    const pid = api.sidecarPid();
    await vscode.commands.executeCommand('sightline.installGpuRuntime');
    assert.equal(api.sidecarPid(), pid);
  });
});
