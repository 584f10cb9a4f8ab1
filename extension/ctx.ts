import {
  commands,
  EventEmitter,
  l10n,
  window,
  workspace,
  type Disposable,
  type ExtensionContext,
  type LogOutputChannel,
  Uri,
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
  StatusNotification,
  ViewNotification,
  type CacheStats,
  type NextEdit,
  type SidecarStatus,
} from '../sidecar/protocol.ts';
import { registerActions } from './actions/actions.ts';
import { Answers } from './answers.ts';
import { Chat } from './chat/chat.ts';
import { ConversationStore } from './chat/store.ts';
import { registerChatView } from './chat/view.ts';
import { registerChat } from './chatParticipant.ts';
import { createClient } from './client.ts';
import { networkEnvironment, sidecarSettings } from './config.ts';
import { registerCacheCommands } from './memory/commands.ts';
import { MemoryView } from './memory/memoryView.ts';
import type { MemoryState } from './memory/messages.ts';
import { registerLanguageModel } from './languageModel.ts';
import { Monitor } from './monitor.ts';
import { NextEditOffers } from './nextEdit/nextEdit.ts';
import { Suggestions } from './nextEdit/suggestions.ts';
import { Pages } from './pages.ts';
import { registerPins } from './pins.ts';
import { Proposals } from './proposals/preview.ts';
import { registerReports } from './reports.ts';
import { offer } from './requests.ts';
import { registerModels } from './models/commands.ts';
import { RestartBudget } from './restarts.ts';
import { startSidecar, type SidecarProcess } from './sidecarProcess.ts';
import { registerStatusItem } from './statusItem.ts';
import type { Status } from './statusView.ts';
import { onDidView } from './views.ts';

/** What other extensions and tests see of Sightline. */
export interface Api {
  /** The latest statistics; undefined before a model is loaded. */
  stats(): CacheStats | undefined;
  /** Undefined while no sidecar runs. */
  status(): SidecarStatus | undefined;
  sidecarPid(): number | undefined;
  /** What the memory view shows; empty while it is out of sight. */
  memoryShown(): Partial<MemoryState>;
  /**
   * Shows what makes `after` of `before`, the text that a document had: to be accepted or rejected change by change. False
   * where there is nothing to change.
   */
  propose(target: Uri, before: string, after: string): Promise<boolean>;
  /** The next edit that is offered in the active editor. */
  nextEdit(): NextEdit | undefined;
  /** The conversations of the chat, and what its page says and hears. */
  chat(): Chat;
}

/** Owns what lives as long as the extension: the client and its sidecar, and the log. */
export class Ctx {
  readonly #log: LogOutputChannel;
  readonly #client: LanguageClient;
  readonly #answers: Answers;
  readonly #chat: Chat;
  readonly #proposals = new Proposals();
  readonly #monitor = new Monitor();
  readonly #memoryView: MemoryView;
  readonly #nextEdits: NextEditOffers;
  readonly #restarts = new RestartBudget();
  #sidecar: SidecarProcess | undefined;
  #stopping = false;

  constructor(context: ExtensionContext) {
    this.#log = window.createOutputChannel('Sightline', { log: true });
    const suggestions = new Suggestions();
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
      suggestions,
    );
    const client = this.#client;
    const monitor = this.#monitor;
    const pages = new Pages();
    this.#answers = new Answers(client);
    this.#chat = this.#makeChat(context);
    /** There may be another model than before, or none. */
    const modelChanges = new EventEmitter<void>();
    let stand = modelBy(monitor.status);
    client.onNotification(StatusNotification, (status) => {
      monitor.set(status, monitor.stats);
    });
    client.onNotification(CacheStatsNotification, (stats) => {
      monitor.set(monitor.status, stats);
    });
    this.#memoryView = new MemoryView({
      extension: context.extension,
      client,
      monitor,
      log: this.#log,
    });
    this.#nextEdits = new NextEditOffers(client, suggestions);
    context.subscriptions.push(
      this.#log,
      suggestions,
      this.#nextEdits,
      monitor,
      pages,
      this.#proposals,
      modelChanges,
      monitor.onDidChange(() => {
        if (modelBy(monitor.status) === stand) return;
        stand = modelBy(monitor.status);
        modelChanges.fire();
        void this.#chat.modelChanged(stand);
      }),
      ...registerChatView(this.#chat, context.extensionUri, this.#log),
      ...registerActions({ answers: this.#answers, pages, proposals: this.#proposals }),
      registerChat(this.#answers),
      registerLanguageModel(this.#answers, modelChanges.event),
      this.#memoryView,
      registerStatusItem(monitor),
      ...this.#registerCommands(),
      ...registerReports(client, pages),
      ...registerCacheCommands({ extension: context.extension, client, pages }),
      ...registerPins(),
      ...registerModels(this.#client, context),
      onDidView((uri, firstLine, lastLine) => {
        if (client.state !== State.Running) return;
        void client.sendNotification(ViewNotification, { uri, firstLine, lastLine });
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('sightline')) void this.#sendSettings();
      }),
    );
  }

  readonly api: Api = {
    memoryShown: () => this.#memoryView.shown,
    propose: (target, before, after) => this.#proposals.propose(target, before, after),
    nextEdit: () => this.#nextEdits.offer,
    chat: () => this.#chat,
    stats: () => this.#monitor.stats,
    status: () => {
      const { status } = this.#monitor;
      return status.state === 'stopped' ? undefined : status;
    },
    sidecarPid: () => this.#sidecarPid(),
  };

  async start(): Promise<void> {
    this.#monitor.set(
      { state: 'loading', fraction: 0, message: l10n.t('Starting the sidecar') },
      undefined,
    );
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
    this.#monitor.set(
      { state: 'stopped', message: l10n.t('Stopped. Restart the sidecar to go on.') },
      undefined,
    );
  }

  /** What is kept of it is read in the background. */
  #makeChat(context: ExtensionContext): Chat {
    const storage = context.storageUri ?? context.globalStorageUri;
    const chat = new Chat({
      answers: this.#answers,
      store: new ConversationStore(Uri.joinPath(storage, 'conversations').fsPath),
      propose: (target, before, after) => this.#proposals.propose(target, before, after),
    });
    void chat.open();
    return chat;
  }

  #sidecarPid(): number | undefined {
    const child = this.#sidecar?.child;
    return child?.exitCode === null && child.signalCode === null ? child.pid : undefined;
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
    ];
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
    const how = (await sidecar?.ended) ?? l10n.t('not started');
    if (this.#stopping) return { action: CloseAction.DoNotRestart, handled: true };
    if (this.#restarts.take(Date.now())) {
      this.#monitor.set(
        { state: 'loading', fraction: 0, message: l10n.t('Restarting the sidecar') },
        undefined,
      );
      const message = l10n.t("Sightline's sidecar stopped ({0}) and was restarted.", how);
      void offer((...choices) => window.showWarningMessage(message, ...choices), 'showLog');
      return { action: CloseAction.Restart, handled: true };
    }
    const lines = sidecar?.lastLines.slice(-3).join('\n') ?? '';
    const message = l10n.t(
      "Sightline's sidecar stopped too often ({0}) and stays down. {1}",
      how,
      lines,
    );
    this.#monitor.set({ state: 'stopped', message }, undefined);
    void offer((...choices) => window.showErrorMessage(message, ...choices), 'restart', 'showLog');
    return { action: CloseAction.DoNotRestart, handled: true };
  }
}

/** Whether there is a model, by the status. */
function modelBy({ state }: Status): 'loading' | 'none' | 'ready' {
  if (state === 'loading') return 'loading';
  return state === 'error' || state === 'stopped' ? 'none' : 'ready';
}
