import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as vscode from 'vscode';
import { closeEditors, completeHere, ready, until, type SightlineApi } from './sightline.ts';

const lines = (seed: string): string =>
  Array.from({ length: 30 }, (_, i) => `export const ${seed}${i} = ${i};\n`).join('');

const files = {
  'use.ts': `import { helper1 } from './helper';\n${lines('own')}export const made: Widget = `,
  'helper.ts': lines('helper'),
  'widget.ts': `${lines('widget')}export interface Widget { readonly size: number }\n`,
  'wanted.ts': lines('wanted'),
};

describe('context', () => {
  let api: SightlineApi;
  let folder = '';
  const uriAt = (name: keyof typeof files): vscode.Uri => vscode.Uri.file(path.join(folder, name));
  const sources = (): string[] =>
    (api.stats()?.inSight?.files ?? []).map((file) => `${path.basename(file.uri)} ${file.source}`);
  /** In sight, or left out for nothing but room: documents of other tests may fill the context. */
  const isGathered = (name: keyof typeof files): boolean => {
    const { files: seen = [], leftOut = [] } = api.stats()?.inSight ?? {};
    const noRoom = leftOut.filter(({ reason }) => reason === 'room');
    return [...seen, ...noRoom].some(({ uri }) => path.basename(uri) === name);
  };

  before(async () => {
    api = await ready();
    const root = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
    assert(root !== undefined);
    folder = path.join(root, 'context');
    await mkdir(folder, { recursive: true });
    for (const [name, text] of Object.entries(files))
      await writeFile(path.join(folder, name), text);
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });
  afterEach(closeEditors);

  /** Opens a file with the cursor at its end, and completes there. */
  async function work(name: keyof typeof files): Promise<void> {
    const document = await vscode.workspace.openTextDocument(uriAt(name));
    const editor = await vscode.window.showTextDocument(document);
    const end = document.positionAt(document.getText().length);
    editor.selection = new vscode.Selection(end, end);
    await completeHere(editor);
  }

  it('has what the file in use imports, and what the editor says defines its names', async () => {
    const provider = vscode.languages.registerDefinitionProvider('typescript', {
      provideDefinition: (document, position) => {
        const word = document.getText(document.getWordRangeAtPosition(position));
        return word === 'Widget'
          ? new vscode.Location(uriAt('widget.ts'), new vscode.Position(30, 0))
          : undefined;
      },
    });
    try {
      await work('use.ts');
      // The editor's own provider answers late while it starts, and what is late is left out: until the next pause.
      const typing = setInterval(() => {
        void vscode.commands.executeCommand('type', { text: ' ' });
      }, 3000);
      await until('both files', () =>
        isGathered('helper.ts') && isGathered('widget.ts') ? true : undefined,
      ).finally(() => {
        clearInterval(typing);
      });
    } finally {
      provider.dispose();
    }
  });

  it('has what is pinned, until it is taken out again', async () => {
    await vscode.commands.executeCommand('sightline.pinFile', uriAt('wanted.ts'));
    assert.deepEqual(vscode.workspace.getConfiguration('sightline').get('context.pinned'), [
      'context/wanted.ts',
    ]);
    await work('use.ts');
    await until('the pinned file', () =>
      sources().includes('wanted.ts pinned') ? true : undefined,
    );
    await vscode.commands.executeCommand('sightline.unpinFile', uriAt('wanted.ts'));
    await work('widget.ts');
    await until('its end', () => (sources().includes('wanted.ts pinned') ? undefined : true));
    assert.deepEqual(vscode.workspace.getConfiguration('sightline').get('context.pinned'), []);
  });
});
