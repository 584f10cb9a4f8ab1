import {
  commands,
  Disposable,
  l10n,
  Uri,
  window,
  workspace,
  type Extension,
  type LogOutputChannel,
  type WebviewView,
  type WebviewViewProvider,
} from 'vscode';
import { State, type LanguageClient } from 'vscode-languageclient/node';
import {
  cacheProfileNames,
  MemoryForecastRequest,
  type MemoryForecast,
} from '../../sidecar/protocol.ts';
import type { Monitor } from '../monitor.ts';
import { orTell } from '../requests.ts';
import { openPage } from '../webview/page.ts';
import { memoryCsv } from './csv.ts';
import { firstSight } from './firstSight.ts';
import { fromPage, type MemoryMessages, type MemoryState } from './messages.ts';
import { cacheSettings, changeSetting, chooseProfile, choicesOf } from './settings.ts';

const viewId = 'sightline.memory';

export interface MemoryViewOptions {
  readonly extension: Extension<unknown>;
  readonly client: LanguageClient;
  readonly monitor: Monitor;
  readonly log: LogOutputChannel;
}

/** The view of what the cache takes and could take, with the settings that decide it. */
export class MemoryView implements WebviewViewProvider, Disposable {
  readonly #options: MemoryViewOptions;
  readonly #choices: MemoryState['choices'];
  readonly #registrations: Disposable;
  #forecast: MemoryForecast | null = null;
  #wasLoading = true;
  #tellPage: ((change: Partial<MemoryState>) => void) | undefined;
  #shown: Partial<MemoryState> = {};

  constructor(options: MemoryViewOptions) {
    this.#options = options;
    this.#choices = choicesOf(options.extension);
    this.#registrations = Disposable.from(
      window.registerWebviewViewProvider(viewId, this),
      commands.registerCommand('sightline.showMemory', () =>
        commands.executeCommand(`${viewId}.focus`),
      ),
      options.monitor.onDidChange(() => {
        this.#monitorChanged();
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('sightline.cache'))
          this.#tell({ settings: cacheSettings() });
      }),
    );
  }

  /** What the page was told since it is in sight; empty while it is not. */
  get shown(): Partial<MemoryState> {
    return this.#shown;
  }

  resolveWebviewView(view: WebviewView): void {
    const { extension, monitor, log } = this.#options;
    const { tell, renew } = openPage<MemoryMessages>(view.webview, {
      name: 'memory',
      extensionUri: extension.extensionUri,
      first: () => firstSight(monitor.status, monitor.stats),
      schema: fromPage,
      receive: (message) => {
        if (message.kind === 'ready') this.#tellPage = tell;
        void this.#receive(message);
      },
      log,
    });
    const hide = (): void => {
      this.#tellPage = undefined;
      this.#shown = {};
    };
    view.onDidDispose(hide);
    // Out of sight the page is gone; when it comes back it says that it is ready once more.
    view.onDidChangeVisibility(() => {
      if (view.visible) return;
      hide();
      // Starts with these numbers then.
      renew();
    });
  }

  dispose(): void {
    this.#registrations.dispose();
  }

  async #receive(message: MemoryMessages['fromPage']): Promise<void> {
    const { monitor } = this.#options;
    switch (message.kind) {
      case 'ready':
        this.#tell({
          status: monitor.status,
          stats: monitor.stats ?? null,
          forecast: this.#forecast,
          settings: cacheSettings(),
          choices: this.#choices,
        });
        return this.#askForecast();
      case 'chooseProfile':
        return this.#chooseProfile(message.profile);
      case 'choosePolicy':
        if (!this.#choices.policy.some(({ value }) => value === message.policy)) return;
        return orTell(() => changeSetting('policy', message.policy));
      case 'chooseTier':
        if (!this.#choices.tier.some(({ value }) => value === message.tier)) return;
        return orTell(() => changeSetting('tier', message.tier));
      case 'setBudget':
        return orTell(() => changeSetting('budgetMiB', message.budgetMiB));
      case 'run':
        await commands.executeCommand(message.command);
        return;
      case 'saveFigure':
        return save('png', 'PNG', Buffer.from(message.png, 'base64'));
      case 'saveData':
        if (this.#forecast === null) return;
        return save('csv', 'CSV', Buffer.from(memoryCsv(this.#forecast, monitor.stats)));
    }
  }

  async #chooseProfile(chosen: string): Promise<void> {
    const name = cacheProfileNames.find((known) => known === chosen);
    if (name !== undefined) await orTell(() => chooseProfile(name));
  }

  #monitorChanged(): void {
    const { status, stats } = this.#options.monitor;
    this.#tell({ status, stats: stats ?? null });
    const isLoading = status.state === 'loading';
    // Another cache, or another model.
    if (this.#wasLoading && !isLoading) void this.#askForecast();
    this.#wasLoading = isLoading;
  }

  async #askForecast(): Promise<void> {
    const { client, log } = this.#options;
    if (this.#tellPage === undefined || client.state !== State.Running) return;
    try {
      this.#forecast = await client.sendRequest(MemoryForecastRequest);
      this.#tell({ forecast: this.#forecast });
    } catch (error) {
      log.warn('There is no forecast of the memory', String(error));
    }
  }

  #tell(change: Partial<MemoryState>): void {
    if (this.#tellPage === undefined) return;
    this.#shown = { ...this.#shown, ...change };
    this.#tellPage(change);
  }
}

/** Asks where to, and writes a file there. */
async function save(ending: string, name: string, content: Uint8Array): Promise<void> {
  const folder = workspace.workspaceFolders?.[0]?.uri;
  const file = `sightline-memory.${ending}`;
  const target = await window.showSaveDialog({
    ...(folder === undefined ? {} : { defaultUri: Uri.joinPath(folder, file) }),
    filters: { [name]: [ending] },
    title: l10n.t('Save the memory figure'),
  });
  if (target !== undefined) await orTell(async () => workspace.fs.writeFile(target, content));
}
