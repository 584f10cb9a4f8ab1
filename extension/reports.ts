import { commands, l10n, window, type Disposable } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { ContextRequest, DiagnoseRequest, InstallGpuRuntimeRequest } from '../sidecar/protocol.ts';
import type { Pages } from './pages.ts';
import { orTell, withProgress } from './requests.ts';

/** The commands that show what the model saw and how things stand, and the one that brings what a GPU takes. */
export function registerReports(client: LanguageClient, pages: Pages): Disposable[] {
  return [
    commands.registerCommand('sightline.diagnose', async () => {
      const report = await orTell(() => client.sendRequest(DiagnoseRequest));
      if (report !== undefined) await pages.show('Diagnosis', report);
    }),
    commands.registerCommand('sightline.showContext', async () => {
      const content = await orTell(() => client.sendRequest(ContextRequest));
      if (content === null) {
        void window.showInformationMessage(l10n.t('Sightline has not completed anything yet.'));
      } else if (content !== undefined) await pages.show('Context', content);
    }),
    commands.registerCommand('sightline.installGpuRuntime', async () => {
      const title = l10n.t('Sightline: installing the GPU runtime');
      const done = await withProgress(client, title, (workDoneToken, cancelled) =>
        client.sendRequest(InstallGpuRuntimeRequest, { workDoneToken }, cancelled),
      );
      if (done === undefined) return;
      await commands.executeCommand('sightline.restart');
      void window.showInformationMessage(done);
    }),
  ];
}
