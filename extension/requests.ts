import { commands, l10n, ProgressLocation, window, type CancellationToken } from 'vscode';
import {
  LSPErrorCodes,
  ResponseError,
  WorkDoneProgress,
  type LanguageClient,
} from 'vscode-languageclient/node';

/** Shows the choices that a message ends with, and does what was chosen. */
export async function offer(
  show: (...choices: string[]) => Thenable<string | undefined>,
  ...names: readonly ('restart' | 'showLog' | 'chooseModel')[]
): Promise<void> {
  const titles = {
    restart: l10n.t('Restart'),
    showLog: l10n.t('Show Log'),
    chooseModel: l10n.t('Choose Model'),
  };
  const chosen = await show(...names.map((name) => titles[name]));
  const name = names.find((candidate) => titles[candidate] === chosen);
  if (name !== undefined) await commands.executeCommand(`sightline.${name}`);
}

/** What `ask` gives; undefined where it was cancelled, or where it failed, which the user is told. */
export async function orTell<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled) {
      return undefined;
    }
    const message = error instanceof Error ? error.message : String(error);
    void offer((...choices) => window.showErrorMessage(message, ...choices), 'restart', 'showLog');
    return undefined;
  }
}

let tokens = 0;

/**
 * Asks the sidecar for what takes long, with a notification that says how far it is and can cancel it. `ask` passes both
 * of its arguments on with the request. Resolves to undefined where it was cancelled or failed, which the user is told.
 */
export const withProgress = <T>(
  client: LanguageClient,
  title: string,
  ask: (workDoneToken: string, cancelled: CancellationToken) => Promise<T>,
): Promise<T | undefined> => orTell(() => showingProgress(client, title, ask));

/** The same, but rejects where it was cancelled or failed. */
export async function showingProgress<T>(
  client: LanguageClient,
  title: string,
  ask: (workDoneToken: string, cancelled: CancellationToken) => Promise<T>,
): Promise<T> {
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  return window.withProgress(options, async (progress, cancelled) => {
    const workDoneToken = `sightline/${(tokens += 1)}`;
    let shown = 0;
    const listening = client.onProgress(WorkDoneProgress.type, workDoneToken, (news) => {
      if (news.kind === 'end' || news.percentage === undefined) return;
      const { percentage, message = `${percentage} %` } = news;
      progress.report({ increment: percentage - shown, message });
      shown = percentage;
    });
    try {
      return await ask(workDoneToken, cancelled);
    } finally {
      listening.dispose();
    }
  });
}
