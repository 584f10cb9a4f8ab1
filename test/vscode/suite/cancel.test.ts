import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { closeEditors, completeHere, ready, until } from './sightline.ts';

describe('cancel', () => {
  afterEach(closeEditors);

  it('lets a newer request supersede the one that runs', async () => {
    const api = await ready();
    const pid = api.sidecarPid();
    // A prompt long enough that its prefill still runs when the next key comes.
    const fullFile = process.env['SIGHTLINE_FULL_FILE'];
    assert(fullFile !== undefined);
    const document = await vscode.workspace.openTextDocument(fullFile);
    const editor = await vscode.window.showTextDocument(document);
    const line = Math.floor(document.lineCount / 2);
    const end = document.lineAt(line).range.end;
    editor.selection = new vscode.Selection(end, end);
    // Not awaited: the command ends when the completion does.
    const first = vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
    await until(
      'the first request to run',
      () => api.status()?.state === 'generating' || undefined,
    );

    await vscode.commands.executeCommand('type', { text: '\nif (' });
    await first;
    const added = await completeHere(editor);
    assert(added.length > 0);
    const typed = document.lineAt(line + 1).text;
    assert(typed.trim().startsWith('if ('), typed);
    await until('idle', () => api.status()?.state === 'ready' || undefined);
    assert.equal(api.sidecarPid(), pid, 'the sidecar was restarted');
  });
});
