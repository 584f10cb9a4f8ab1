import { posix } from 'node:path';
import { l10n, Position, RelativePattern, Uri, window, workspace, WorkspaceEdit } from 'vscode';
import type { Tools } from './asking.ts';
import { askForCode } from './change.ts';
import { codeAt, type Place } from './place.ts';
import { testsPrompt } from './prompts.ts';
import { placeForTest } from './testFiles.ts';

const maxTokens = 2048;
/** Files that are looked at to find where tests are. */
const mostFiles = 5000;
const elsewhere = '**/{.git,node_modules,dist,build,out,target,vendor,.venv,venv}/**';

/** Writes tests into a new file beside the project's others. It is on the disk once the user saves it. */
export async function writeTests(tools: Tools, place: Place): Promise<void> {
  const { document } = place;
  const folder = workspace.getWorkspaceFolder(document.uri);
  if (folder === undefined) {
    void window.showInformationMessage(
      l10n.t(
        'Tests are written beside the others of a project: open the folder that this file is in.',
      ),
    );
    return;
  }
  const code = codeAt(place);
  const pattern = new RelativePattern(folder, '**/*.*');
  const found = await workspace.findFiles(pattern, elsewhere, mostFiles);
  const pathOf = (uri: Uri): string => posix.relative(folder.uri.path, uri.path);
  // New files that are not saved yet have their place already.
  const unsaved = workspace.textDocuments.filter(({ isUntitled }) => isUntitled);
  const files = [...found, ...unsaved.map(({ uri }) => uri)]
    .map(pathOf)
    .filter((path) => !path.startsWith('../'));
  const { path, like } = placeForTest(pathOf(document.uri), files);
  const likeUri = like === undefined ? undefined : Uri.joinPath(folder.uri, like);
  const tests = await askForCode(tools, l10n.t('Sightline: writing tests'), {
    messages: testsPrompt({ ...code, path: pathOf(document.uri) }, path, like),
    attachments: likeUri === undefined ? [] : [{ uri: likeUri.toString() }],
    uri: document.uri.toString(),
    maxTokens,
  });
  if (tests === undefined) return;
  const target = Uri.joinPath(folder.uri, path).with({ scheme: 'untitled' });
  const file = await workspace.openTextDocument(target);
  const edit = new WorkspaceEdit();
  edit.insert(target, new Position(0, 0), `${tests.join('\n').trimEnd()}\n`);
  await workspace.applyEdit(edit);
  await window.showTextDocument(file);
}
