import {
  commands,
  EventEmitter,
  MarkdownString,
  ProgressLocation,
  StatusBarAlignment,
  ThemeColor,
  window,
  workspace,
  type Disposable,
  type ExtensionContext,
  type LogOutputChannel,
  type StatusBarItem,
  type Uri,
} from 'vscode';
import {
  CloseAction,
  DidChangeConfigurationNotification,
  ErrorAction,
  LSPErrorCodes,
  ResponseError,
  State,
  WorkDoneProgress,
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
import { registerActions } from './actions/actions.ts';
import { Answers } from './answers.ts';
import { registerChat } from './chatParticipant.ts';
import { createClient } from './client.ts';
import { sidecarSettings } from './config.ts';
import { registerLanguageModel } from './languageModel.ts';
import { Pages } from './pages.ts';
import { registerPins } from './pins.ts';
import { Proposals } from './proposals/preview.ts';
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
  /**
   * Shows what makes `after` of `before`, the text that a document had: to be accepted or rejected change by change. False
   * where there is nothing to change.
   */
  propose(target: Uri, before: string, after: string): Promise<boolean>;
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
  readonly #answers: Answers;
  readonly #pages = new Pages();
  readonly #proposals = new Proposals();
  readonly #restarts = new RestartBudget();
  /** There may be another model than before, or none. */
  readonly #modelChanges = new EventEmitter<void>();
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
        this.#sidecar = startSidecar(context.asAbsolutePath('dist/sidecar.mjs'), (line) => {
          this.#log.warn(line);
        });
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
    this.#answers = new Answers(this.#client);
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
      this.#proposals,
      ...this.#registerCommands(),
      ...registerActions({
        answers: this.#answers,
        pages: this.#pages,
        proposals: this.#proposals,
      }),
      registerChat(this.#answers),
      registerLanguageModel(this.#answers, this.#modelChanges.event),
      this.#modelChanges,
      ...registerPins(),
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
    propose: (target, before, after) => this.#proposals.propose(target, before, after),
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
    try {
      const done = await window.withProgress(
        {
          location: ProgressLocation.Notification,
          title: 'Sightline: installing the GPU runtime',
          cancellable: true,
        },
        async (progress, token) => {
          const workDoneToken = 'sightline/installGpuRuntime';
          let shown = 0;
          const listening = this.#client.onProgress(
            WorkDoneProgress.type,
            workDoneToken,
            (news) => {
              if (news.kind === 'end' || news.percentage === undefined) return;
              const { percentage } = news;
              progress.report({ increment: percentage - shown, message: `${percentage} %` });
              shown = percentage;
            },
          );
          try {
            const given = { workDoneToken };
            return await this.#client.sendRequest(InstallGpuRuntimeRequest, given, token);
          } finally {
            listening.dispose();
          }
        },
      );
      await commands.executeCommand('sightline.restart');
      void window.showInformationMessage(done);
    } catch (error) {
      if (error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled) return;
      const message = error instanceof Error ? error.message : String(error);
      void this.#offer(window.showErrorMessage(message, 'Show Log'));
    }
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
    if (isLoaded(status) !== isLoaded(this.#status)) this.#modelChanges.fire();
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

const isLoaded = ({ state }: Status): boolean =>
  state === 'ready' || state === 'generating' || state === 'warning';
