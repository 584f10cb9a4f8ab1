import { commands, l10n, window, type Disposable, type Extension } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import {
  ClearCacheRequest,
  MeasureCacheRequest,
  MemoryForecastRequest,
} from '../../sidecar/protocol.ts';
import type { Pages } from '../pages.ts';
import { orTell, withProgress } from '../requests.ts';
import { profileItems } from './profileItems.ts';
import { describeQuality } from './quality.ts';
import { cacheSettings, chooseProfile, choicesOf } from './settings.ts';

interface CacheCommandsOptions {
  readonly extension: Extension<unknown>;
  readonly client: LanguageClient;
  readonly pages: Pages;
}

/** The commands that empty the cache, measure what it costs in quality, and trade that for memory. */
export function registerCacheCommands({
  client,
  pages,
  extension,
}: CacheCommandsOptions): Disposable[] {
  return [
    commands.registerCommand('sightline.chooseProfile', async () => {
      const forecast = await orTell(() => client.sendRequest(MemoryForecastRequest));
      if (forecast === undefined) return;
      const items = profileItems(choicesOf(extension).profile, cacheSettings(), forecast);
      const title = l10n.t('Choose Memory Profile');
      const placeHolder = l10n.t('How much memory the cache may take, for which quality');
      const chosen = await window.showQuickPick(items, { title, placeHolder });
      if (chosen !== undefined) await orTell(() => chooseProfile(chosen.profile));
    }),
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
      if (quality !== undefined)
        await pages.show(l10n.t('Cache Quality'), describeQuality(quality));
    }),
  ];
}
