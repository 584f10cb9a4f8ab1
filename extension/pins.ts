import { commands, l10n, Uri, window, workspace, type Disposable } from 'vscode';

const setting = 'context.pinned';

/** The commands that put files into the context and take them out again: they change `sightline.context.pinned`. */
export function registerPins(): Disposable[] {
  tellMenus();
  return [
    workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(`sightline.${setting}`)) tellMenus();
    }),
    commands.registerCommand('sightline.pinFile', (target?: unknown) =>
      changePins(target, (pins, path) => [...pins.filter((pin) => pin !== path), path]),
    ),
    commands.registerCommand('sightline.unpinFile', (target?: unknown) =>
      changePins(target, (pins, path) => pins.filter((pin) => pin !== path)),
    ),
  ];
}

/** Menus offer to unpin what is pinned, and to pin the rest. */
function tellMenus(): void {
  const pins = currentPins();
  const roots = workspace.workspaceFolders ?? [];
  const paths = pins.flatMap((pin) => [
    pin,
    ...roots.map(({ uri }) => Uri.joinPath(uri, pin).fsPath),
  ]);
  void commands.executeCommand('setContext', 'sightline.pinned', paths);
}

/** `target`: what a menu was opened on; the active editor's file otherwise. */
async function changePins(
  target: unknown,
  change: (pins: readonly string[], path: string) => readonly string[],
): Promise<void> {
  const uri = target instanceof Uri ? target : window.activeTextEditor?.document.uri;
  if (uri?.scheme !== 'file' || workspace.getWorkspaceFolder(uri) === undefined) {
    void window.showInformationMessage(
      l10n.t('Only files in a folder that is open can be pinned to the context.'),
    );
    return;
  }
  const pins = change(currentPins(), workspace.asRelativePath(uri, false));
  await workspace.getConfiguration('sightline').update(setting, pins, false);
}

/** The setting may be anything that was written into a file: what is no list of names is none. */
function currentPins(): readonly string[] {
  const pins = workspace.getConfiguration('sightline').get<unknown>(setting);
  return Array.isArray(pins) ? pins.filter((pin) => typeof pin === 'string') : [];
}
