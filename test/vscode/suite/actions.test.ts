import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import { closeEditors, openText, ready, until } from './sightline.ts';

const source = `export function add(a: number, b: number): number {
  return a + b;
}

export function subtract(a: number, b: number): number {
  return a - b;
}
`;

/** The active document, once it is one of this scheme. */
const shown = (scheme: string): Promise<vscode.TextDocument> =>
  until(`a document of ${scheme}`, () => {
    const document = vscode.window.activeTextEditor?.document;
    return document?.uri.scheme === scheme ? document : undefined;
  });

async function openSource(): Promise<vscode.TextEditor> {
  const editor = await openText(source);
  editor.selection = new vscode.Selection(0, 0, 3, 0);
  return editor;
}

/** Runs an action until its answer is of use: a model this small goes round in circles now and then. */
async function answered(
  action: () => Thenable<unknown>,
  isOfUse: (document: vscode.TextDocument) => boolean,
): Promise<vscode.TextDocument> {
  for (let tries = 1; ; tries++) {
    await action();
    const document = vscode.window.activeTextEditor?.document;
    if (document !== undefined && isOfUse(document)) return document;
    assert(tries < 16, `${tries} answers of no use, the last one: ${document?.getText() ?? ''}`);
  }
}

const withCode = (scheme: string, action: () => Thenable<unknown>): Promise<vscode.TextDocument> =>
  answered(action, ({ uri }) => uri.scheme === scheme && uri.path !== '/Answer.md');

const previews = (): vscode.TextDocument[] =>
  vscode.workspace.textDocuments.filter(
    ({ uri, isClosed }) => uri.scheme === 'sightline-proposal' && !isClosed,
  );

describe('actions', () => {
  before(ready);
  afterEach(closeEditors);

  it('explain what is selected, on a page', async () => {
    const page = await answered(
      async () => {
        await openSource();
        await vscode.commands.executeCommand('sightline.explain');
        const written = await shown('sightline');
        // The editor shows what is written somewhat later; only the whole answer ends like this.
        await until('the whole answer', () => /\S\n$/.test(written.getText()) || undefined);
      },
      (document) => document.getText().length > 80,
    );
    assert.match(page.getText(), /^# Untitled-\d+, lines 1 to 3\n\n\S/);
  });

  it('refactor what is around the cursor, as a change that can be taken', async () => {
    const { document } = await openSource();
    const range = new vscode.Range(5, 3, 5, 3);
    const instruction = 'Return the absolute value.';
    const page = await withCode('sightline-proposal', () =>
      vscode.commands.executeCommand('sightline.refactor', document.uri, range, instruction),
    );
    assert.equal(document.getText(), source);
    assert(page.getText().includes('export function subtract'), page.getText());
    await vscode.commands.executeCommand('sightline.acceptAllChanges', page.uri);
    await until('the change', () => (document.getText() === source ? undefined : true));
    // The paragraph around the cursor alone is asked about.
    assert(document.getText().startsWith(source.slice(0, source.indexOf('\n\n') + 2)));
    await shown(document.uri.scheme);
    await vscode.commands.executeCommand('undo');
    await until('what it was', () => (document.getText() === source ? true : undefined));
  });

  it('fix the problems that the editor shows', async () => {
    const { document } = await openSource();
    const problems = vscode.languages.createDiagnosticCollection('test');
    try {
      const range = new vscode.Range(1, 9, 1, 10);
      problems.set(document.uri, [new vscode.Diagnostic(range, "Cannot find name 'a'.")]);
      const offered = await until('the problem', () =>
        vscode.languages.getDiagnostics(document.uri).length > 0 ? true : undefined,
      ).then(() =>
        vscode.commands.executeCommand<vscode.CodeAction[]>(
          'vscode.executeCodeActionProvider',
          document.uri,
          range,
          vscode.CodeActionKind.QuickFix.value,
        ),
      );
      const fix = offered.find(({ command }) => command?.command === 'sightline.fix');
      assert(fix?.command !== undefined, offered.map(({ title }) => title).join(', '));
      const { command, arguments: given = [] } = fix.command;
      await withCode('sightline-proposal', () =>
        vscode.commands.executeCommand(command, ...(given as unknown[])),
      );
      assert.equal(document.getText(), source);
    } finally {
      problems.dispose();
    }
  });

  it('are in the light bulb of a selection', async () => {
    const { document } = await openSource();
    const offered = await vscode.commands.executeCommand<vscode.CodeAction[]>(
      'vscode.executeCodeActionProvider',
      document.uri,
      new vscode.Range(0, 0, 3, 0),
    );
    const own = offered.flatMap(({ command }) => command?.command ?? []);
    assert.deepEqual(
      own.filter((name) => name.startsWith('sightline.')).sort(),
      ['explain', 'refactor', 'writeDocumentation', 'writeTests'].map((one) => `sightline.${one}`),
    );
  });

  it('write tests into a new file beside the others, that is not saved yet', async () => {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    assert(folder !== undefined);
    const own = vscode.Uri.joinPath(folder, 'actions');
    const file = vscode.Uri.joinPath(own, 'src/add.ts');
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    try {
      await vscode.workspace.fs.writeFile(file, bytes(source));
      const other = vscode.Uri.joinPath(own, 'src/other.ts');
      await vscode.workspace.fs.writeFile(other, bytes('export const other = 1;\n'));
      const test = vscode.Uri.joinPath(own, 'test/other.spec.ts');
      await vscode.workspace.fs.writeFile(test, bytes("import { other } from '../src/other';\n"));
      const document = await vscode.workspace.openTextDocument(file);
      const written = await withCode('untitled', async () => {
        await vscode.window.showTextDocument(document);
        await vscode.commands.executeCommand('sightline.writeTests');
      });
      assert.equal(written.uri.path, vscode.Uri.joinPath(own, 'test/add.spec.ts').path);
      assert(written.isDirty && written.getText().trim().length > 0);
      const onDisk = await vscode.workspace.fs.readDirectory(vscode.Uri.joinPath(own, 'test'));
      assert.deepEqual(onDisk, [['other.spec.ts', vscode.FileType.File]]);
    } finally {
      await closeEditors();
      await vscode.workspace.fs.delete(own, { recursive: true });
    }
  });

  it('leave nothing behind when they are stopped', async () => {
    const { document } = await openSource();
    const before = previews().length;
    const range = new vscode.Range(0, 0, 3, 0);
    const running = vscode.commands.executeCommand('sightline.refactor', document.uri, range, 'x');
    const run = { isOver: false };
    const over = Promise.resolve(running).then(() => {
      run.isOver = true;
    });
    // Again and again: it may not have begun yet.
    while (!run.isOver) await vscode.commands.executeCommand('sightline.stopAnswers');
    await over;
    assert.equal(previews().length, before);
    assert.equal(vscode.window.activeTextEditor?.document, document);
    assert.equal(document.getText(), source);
  });
});

/** What the test uses of the interface of VS Code's Git extension. */
interface GitExtension {
  readonly enabled: boolean;
  getAPI(version: 1): {
    openRepository(root: vscode.Uri): Promise<{
      readonly inputBox: { value: string };
      readonly state: { readonly indexChanges: readonly unknown[] };
      status(): Promise<void>;
    } | null>;
  };
}

describe('commit messages', () => {
  it('are written for what is staged, into the box that was empty', async function () {
    await ready();
    const git = await vscode.extensions.getExtension<GitExtension>('vscode.git')?.activate();
    if (git?.enabled !== true) {
      console.warn('SKIPPED: the Git extension is not in this extension host');
      this.skip();
    }
    const root = await mkdtemp(path.join(tmpdir(), 'sightline-git-'));
    const run = (...args: string[]): void => {
      execFileSync('git', ['-C', root, '-c', 'user.name=T', '-c', 'user.email=t@t', ...args]);
    };
    try {
      run('init', '-q');
      await writeFile(path.join(root, 'add.ts'), source);
      run('add', '.');
      run('commit', '-q', '-m', 'Add two functions');
      await writeFile(path.join(root, 'add.ts'), source.replaceAll('number', 'bigint'));
      run('add', '.');
      const rootUri = vscode.Uri.file(root);
      const repository = await git.getAPI(1).openRepository(rootUri);
      if (repository === null) {
        console.warn('SKIPPED: the Git extension opens no repository here');
        this.skip();
      }
      await repository.status();
      await vscode.commands.executeCommand('sightline.writeCommitMessage', { rootUri });
      assert(repository.inputBox.value.trim().length > 0);
      assert(!repository.inputBox.value.includes('```'));
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
