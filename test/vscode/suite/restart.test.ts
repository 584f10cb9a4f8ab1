import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { closeEditors, completeHere, openText, ready, until } from './sightline.ts';

const source = 'function add(a, b) {\n  return a + b;\n}\n\nfunction subtract(a, b) {\n  return';

/** Waits for a sidecar other than `old`, then for its model. */
async function readyAgain(old: number): Promise<number> {
  const api = await ready();
  const pid = await until('another sidecar', () => {
    const current = api.sidecarPid();
    return current === old ? undefined : current;
  });
  await ready();
  return pid;
}

describe('restart', () => {
  afterEach(closeEditors);

  it('follows the death of the sidecar, and completions work again', async () => {
    const api = await ready();
    const old = api.sidecarPid();
    assert(old !== undefined);
    const editor = await openText(source, 'javascript');
    process.kill(old, 'SIGKILL');
    await readyAgain(old);
    assert((await completeHere(editor)).length > 0);
  });

  it('is there as a command', async () => {
    const api = await ready();
    const old = api.sidecarPid();
    assert(old !== undefined);
    await vscode.commands.executeCommand('sightline.restart');
    await readyAgain(old);
    assert.throws(() => process.kill(old, 0), { code: 'ESRCH' });
    assert((await completeHere(await openText(source, 'javascript'))).length > 0);
  });
});
