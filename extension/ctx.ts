import {
  commands,
  MarkdownString,
  StatusBarAlignment,
  ThemeColor,
  window,
  workspace,
  type Disposable,
  type ExtensionContext,
  type LogOutputChannel,
  type StatusBarItem,
} from 'vscode';
import {
  CloseAction,
  DidChangeConfigurationNotification,
  ErrorAction,
  State,
  type CloseHandlerResult,
  type LanguageClient,
} from 'vscode-languageclient/node';
import {
  CacheStatsNotification,
  ContextRequest,
  DiagnoseRequest,
  InstallGpuRuntimeRequest,
  StatusNotification,
  ViewNotification,
  type CacheStats,
  type SidecarStatus,
} from '../sidecar/protocol.ts';
import { createClient } from './client.ts';
import { networkEnvironment, sidecarSettings } from './config.ts';
import { registerModels } from './models/commands.ts';
import { Pages } from './pages.ts';
import { registerPins } from './pins.ts';
import { withProgress } from './requests.ts';
import { RestartBudget } from './restarts.ts';
import { startSidecar, type SidecarProcess } from './sidecarProcess.ts';
import { statusView, type Status } from './statusView.ts';
import { onDidView } from './views.ts';

/** What other extensions and tests see of Sightline. */
export interface Api {
  /** The latest statistics; undefined before a model is loaded. */
  stats(): CacheStats | undefined;
  /** Undefined while no sidecar runs. */
  status(): SidecarStatus | undefined;
  sidecarPid(): number | undefined;
}

const themeColors = {
  none: undefined,
  warning: new ThemeColor('statusBarItem.warningBackground'),
  error: new ThemeColor('statusBarItem.errorBackground'),
} as const;

/** Owns what lives as long as the extension: the client and its sidecar, the status bar item, the log. */
export class Ctx {
  readonly #log: LogOutputChannel;
  readonly #item: StatusBarItem;
  readonly #client: LanguageClient;
  readonly #pages = new Pages();
  readonly #restarts = new RestartBudget();
  #sidecar: SidecarProcess | undefined;
  #status: Status = { state: 'stopped', message: 'Not started.' };
  #stats: CacheStats | undefined;
  #stopping = false;

  constructor(context: ExtensionContext) {
    this.#log = window.createOutputChannel('Sightline', { log: true });
    this.#item = window.createStatusBarItem('sightline.status', StatusBarAlignment.Right, 100);
    this.#item.name = 'Sightline';
    this.#item.command = 'sightline.showLog';
    this.#client = createClient(
      () => {
        const path = context.asAbsolutePath('dist/sidecar.mjs');
        const onLine = (line: string): void => {
          this.#log.warn(line);
        };
        this.#sidecar = startSidecar(path, onLine, networkEnvironment());
        return this.#sidecar;
      },
      {
        error: (_error, message) => {
          // An error that belongs to no message: the streams are broken, and only a new sidecar has good ones.
          if (message === undefined) this.#sidecar?.child.kill();
          return { action: ErrorAction.Continue, handled: true };
        },
        closed: () => this.#sidecarDied(),
      },
      this.#log,
    );
    this.#client.onNotification(StatusNotification, (status) => {
      this.#show(status, this.#stats);
    });
    this.#client.onNotification(CacheStatsNotification, (stats) => {
      this.#show(this.#status, stats);
    });
    context.subscriptions.push(
      this.#log,
      this.#item,
      this.#pages,
      ...this.#registerCommands(),
      ...registerPins(),
      ...registerModels(this.#client, context),
      onDidView((uri, firstLine, lastLine) => {
        if (this.#client.state !== State.Running) return;
        void this.#client.sendNotification(ViewNotification, { uri, firstLine, lastLine });
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('sightline')) void this.#sendSettings();
      }),
    );
    this.#item.show();
  }

  readonly api: Api = {
    stats: () => this.#stats,
    status: () => (this.#status.state === 'stopped' ? undefined : this.#status),
    sidecarPid: () => {
      const child = this.#sidecar?.child;
      return child?.exitCode === null && child.signalCode === null ? child.pid : undefined;
    },
  };

  async start(): Promise<void> {
    this.#show({ state: 'loading', fraction: 0, message: 'Starting the sidecar' }, undefined);
    try {
      await this.#client.start();
    } catch (error) {
      this.#log.error('The sidecar did not start', String(error));
    }
  }

  /** Resolves when the sidecar is gone, whether it wants to or not. */
  async stop(): Promise<void> {
    const sidecar = this.#sidecar;
    this.#stopping = true;
    try {
      if (this.#client.state !== State.Stopped) await this.#client.stop();
    } catch (error) {
      this.#log.warn('The sidecar did not stop by itself', String(error));
    }
    sidecar?.child.kill();
    await sidecar?.ended;
    this.#stopping = false;
    this.#show({ state: 'stopped', message: 'Stopped.' }, undefined);
  }

  #registerCommands(): Disposable[] {
    return [
      commands.registerCommand('sightline.restart', async () => {
        this.#restarts.reset();
        await this.stop();
        await this.start();
      }),
      commands.registerCommand('sightline.showLog', () => {
        this.#log.show();
      }),
      commands.registerCommand('sightline.installGpuRuntime', () => this.#installGpuRuntime()),
      commands.registerCommand('sightline.diagnose', async () => {
        await this.#pages.show('Diagnosis', await this.#client.sendRequest(DiagnoseRequest));
      }),
      commands.registerCommand('sightline.showContext', async () => {
        const content = await this.#client.sendRequest(ContextRequest);
        if (content !== null) await this.#pages.show('Context', content);
        else await window.showInformationMessage('Sightline has not completed anything yet.');
      }),
    ];
  }

  /** Downloads it with progress, and starts the sidecar anew with it. */
  async #installGpuRuntime(): Promise<void> {
    const title = 'Sightline: installing the GPU runtime';
    const done = await withProgress(this.#client, title, (workDoneToken, cancelled) =>
      this.#client.sendRequest(InstallGpuRuntimeRequest, { workDoneToken }, cancelled),
    );
    if (done === undefined) return;
    await commands.executeCommand('sightline.restart');
    void window.showInformationMessage(done);
  }

  async #sendSettings(): Promise<void> {
    if (this.#client.state !== State.Running) return;
    await this.#client.sendNotification(DidChangeConfigurationNotification.type, {
      settings: { sightline: sidecarSettings() },
    });
  }

  /** Decides what happens after the sidecar died by itself. */
  async #sidecarDied(): Promise<CloseHandlerResult> {
    const sidecar = this.#sidecar;
    sidecar?.child.kill();
    const how = (await sidecar?.ended) ?? 'not started';
    if (this.#stopping) return { action: CloseAction.DoNotRestart, handled: true };
    if (this.#restarts.take(Date.now())) {
      this.#show({ state: 'loading', fraction: 0, message: 'Restarting the sidecar' }, undefined);
      void this.#offer(
        window.showWarningMessage(
          `Sightline's sidecar stopped (${how}) and was restarted.`,
          'Show Log',
        ),
      );
      return { action: CloseAction.Restart, handled: true };
    }
    const lines = sidecar?.lastLines.slice(-3).join('\n') ?? '';
    const message = `Sightline's sidecar stopped too often (${how}) and stays down. ${lines}`;
    this.#show({ state: 'stopped', message }, undefined);
    void this.#offer(window.showErrorMessage(message, 'Restart', 'Show Log'));
    return { action: CloseAction.DoNotRestart, handled: true };
  }

  async #offer(choice: Thenable<'Restart' | 'Show Log' | undefined>): Promise<void> {
    const chosen = await choice;
    if (chosen === 'Restart') await commands.executeCommand('sightline.restart');
    if (chosen === 'Show Log') this.#log.show();
  }

  #show(status: Status, stats: CacheStats | undefined): void {
    this.#status = status;
    this.#stats = stats;
    const view = statusView(status, stats);
    const tooltip = new MarkdownString(view.tooltip, true);
    tooltip.isTrusted = {
      enabledCommands: ['sightline.showContext', 'sightline.restart', 'sightline.showLog'],
    };
    this.#item.text = view.text;
    this.#item.tooltip = tooltip;
    this.#item.backgroundColor = themeColors[view.severity];
  }
}
