import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import { closeEditors, completeHere, ready, until } from './sightline.ts';

describe('cancel', () => {
  afterEach(closeEditors);

  it('lets a newer request supersede the one that runs', async () => {
    const api = await ready();
    const pid = api.sidecarPid();
    const fullFile = process.env['SIGHTLINE_FULL_FILE'];
    assert(fullFile !== undefined);
    const document = await vscode.workspace.openTextDocument(fullFile);
    const editor = await vscode.window.showTextDocument(document);
    let line = Math.floor(document.lineCount / 2);
    let isRunning = false;
    let first: Thenable<unknown> = Promise.resolve();
    // An answer may come before it is seen to be written: then the next line is tried.
    for (; !isRunning; line++) {
      const end = document.lineAt(line).range.end;
      editor.selection = new vscode.Selection(end, end);
      // Not awaited: the command ends when the completion does.
      first = vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
      const run = { isOver: false };
      void first.then(() => {
        run.isOver = true;
      });
      const generates = (): boolean => api.status()?.state === 'generating';
      while (!run.isOver && !generates()) await sleep(1);
      isRunning = generates();
    }
    line--;

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
