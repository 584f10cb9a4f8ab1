import { commands, l10n, window, type Disposable } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { ClearCacheRequest, MeasureCacheRequest } from '../../sidecar/protocol.ts';
import type { Pages } from '../pages.ts';
import { orTell, withProgress } from '../requests.ts';
import { describeQuality } from './quality.ts';

/** The commands that empty the cache, and that measure what it costs in quality. */
export function registerCacheCommands(client: LanguageClient, pages: Pages): Disposable[] {
  return [
    commands.registerCommand('sightline.clearCache', async () => {
      const cleared = await orTell(async () => {
        await client.sendRequest(ClearCacheRequest);
        return true;
      });
      if (cleared) window.setStatusBarMessage(l10n.t('Sightline: the cache is empty.'), 5000);
    }),
    commands.registerCommand('sightline.measureCache', async () => {
      const document = window.activeTextEditor?.document;
      if (document === undefined || document.uri.scheme === pages.scheme) {
        void window.showInformationMessage(
          l10n.t('Open the file that the cache is to be measured on.'),
        );
        return;
      }
      const title = l10n.t('Sightline: measuring the cache on {0}', document.fileName);
      const uri = document.uri.toString();
      const quality = await withProgress(client, title, (workDoneToken, cancelled) =>
        client.sendRequest(MeasureCacheRequest, { uri, workDoneToken }, cancelled),
      );
      if (quality !== undefined) await pages.show('Cache Quality', describeQuality(quality));
    }),
  ];
}
