import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { closeEditors, extension, openText, ready, until } from './sightline.ts';

describe('activation', () => {
  after(closeEditors);

  it('comes with the first file, of any language', async () => {
    await openText('any text\n', 'plaintext');
    await until('activation', () => extension().isActive || undefined);
  });

  it('starts a sidecar that is another process, and loads the model', async () => {
    const api = await ready();
    const pid = api.sidecarPid();
    assert(pid !== undefined && pid !== process.pid);
    process.kill(pid, 0);
    assert.equal(api.status()?.state, 'ready');
  });

  it('registers the commands that its manifest names', async () => {
    const manifest = extension().packageJSON as {
      contributes: { commands: { command: string }[] };
    };
    const registered = await vscode.commands.getCommands(true);
    const named = manifest.contributes.commands.map(({ command }) => command);
    assert(named.length > 0);
    assert.deepEqual(
      named.filter((command) => !registered.includes(command)),
      [],
    );
  });
});
