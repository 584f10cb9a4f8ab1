import { commands, window, type Disposable, type LogOutputChannel, type Uri } from 'vscode';
import type { CacheStats } from '../../sidecar/protocol.ts';
import { openPage } from '../webview/page.ts';
import { fromPage, type MemoryMessages } from './messages.ts';

const id = 'sightline.memory';

/** The view of what the cache takes, and the command that shows it. */
export function registerMemory(
  extensionUri: Uri,
  stats: () => CacheStats | undefined,
  log: LogOutputChannel,
): Disposable[] {
  return [
    commands.registerCommand('sightline.showMemory', () => commands.executeCommand(`${id}.focus`)),
    window.registerWebviewViewProvider(id, {
      resolveWebviewView: ({ webview }) => {
        const tell = openPage<MemoryMessages>(webview, {
          name: 'memory',
          extensionUri,
          schema: fromPage,
          log,
          receive: () => {
            tell({ kind: 'stats', stats: stats() });
          },
        });
      },
    }),
  ];
}
