/** What the tests in the extension host share. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { Chat } from '../../../extension/chat/chat.ts';
import type { MemoryState } from '../../../extension/memory/messages.ts';
import type { CacheStats, NextEdit, SidecarStatus } from '../../../sidecar/protocol.ts';

/** What the extension's `activate` returns. */
export interface SightlineApi {
  stats(): CacheStats | undefined;
  status(): SidecarStatus | undefined;
  sidecarPid(): number | undefined;
  nextEdit(): NextEdit | undefined;
  propose(target: vscode.Uri, before: string, after: string): Promise<boolean>;
  chat(): Pick<
    Chat,
    | 'connect'
    | 'conversation'
    | 'conversations'
    | 'delete'
    | 'obstacle'
    | 'open'
    | 'receive'
    | 'rename'
    | 'start'
  >;
  memoryShown(): Partial<MemoryState>;
}

export function extension(): vscode.Extension<SightlineApi> {
  const found = vscode.extensions.getExtension<SightlineApi>('sightline.sightline');
  assert(found, 'the extension is not installed in this host');
  return found;
}

/** Waits until `probe` gives a value; fails, saying what for, after `seconds`. */
export async function until<T>(what: string, probe: () => T | undefined, seconds = 90): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = probe();
    if (value !== undefined) return value;
    if (Date.now() > deadline) assert.fail(`waited ${seconds} s for ${what}`);
    await sleep(50);
  }
}

/** The API, once the model is loaded. */
export async function ready(): Promise<SightlineApi> {
  const api = await extension().activate();
  await until('the sidecar to be ready', () => {
    const status = api.status();
    assert.notEqual(status?.state, 'error', status?.message);
    return status?.state === 'ready' || status?.state === 'warning' ? status : undefined;
  });
  return api;
}

/** Shows `content` in a new editor, with the cursor at its end. */
export async function openText(
  content: string,
  language = 'typescript',
): Promise<vscode.TextEditor> {
  const document = await vscode.workspace.openTextDocument({ language, content });
  const editor = await vscode.window.showTextDocument(document);
  const end = document.positionAt(content.length);
  editor.selection = new vscode.Selection(end, end);
  return editor;
}

/** Asks for a completion at the cursor until there is one, accepts it, and gives the text it added. */
export async function completeHere(editor: vscode.TextEditor): Promise<string> {
  const { document } = editor;
  const before = document.getText();
  const offset = document.offsetAt(editor.selection.active);
  const deadline = Date.now() + 90_000;
  while (document.getText() === before) {
    assert(Date.now() < deadline, 'waited 90 s for a completion to accept');
    // Returns when the providers have answered; asking again earlier would cancel the request.
    await vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
    // Commit does nothing until the ghost text is drawn.
    for (let i = 0; i < 20 && document.getText() === before; i += 1) {
      await sleep(50);
      await vscode.commands.executeCommand('editor.action.inlineSuggest.commit');
    }
  }
  const after = document.getText();
  const suffix = before.slice(offset);
  assert.equal(after.slice(0, offset), before.slice(0, offset), 'text before the cursor changed');
  assert(after.endsWith(suffix), 'text after the cursor changed');
  return after.slice(offset, after.length - suffix.length);
}

export async function closeEditors(): Promise<void> {
  await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
  await vscode.commands.executeCommand('workbench.action.closeAllEditors');
}
