import type { Readable, Writable } from 'node:stream';
import {
  CompletionRequest,
  createProtocolConnection,
  DidChangeConfigurationNotification,
  DidChangeTextDocumentNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  InitializedNotification,
  InitializeRequest,
  InlineCompletionRequest,
  InlineCompletionTriggerKind,
  LogMessageNotification,
  ShowMessageNotification,
  StreamMessageReader,
  StreamMessageWriter,
  WorkDoneProgress,
  WorkDoneProgressCreateRequest,
  type CancellationToken,
  type CompletionItem,
  type InitializeResult,
  type InlineCompletionItem,
  type Position,
  type Range,
  type ProtocolConnection,
  type SelectedCompletionInfo,
  type TextDocumentClientCapabilities,
  type WorkspaceFolder,
} from 'vscode-languageserver/node';
import {
  CacheStatsNotification,
  DefinitionsRequest,
  StatusNotification,
  type CacheStats,
  type Definition,
  type SidecarStatus,
} from '../../../sidecar/protocol.ts';

/** A small LSP client that remembers what it is told; an editor that is not VS Code. */
export class LspClient {
  readonly connection: ProtocolConnection;
  readonly statuses: SidecarStatus[] = [];
  readonly stats: CacheStats[] = [];
  readonly shown: string[] = [];
  readonly log: string[] = [];
  readonly progress: string[] = [];
  /** What this editor knows of definitions; undefined: it never answers. */
  definitions: readonly Definition[] | undefined = [];
  #waiting: (() => void)[] = [];

  constructor(input: Readable, output: Writable) {
    this.connection = createProtocolConnection(
      new StreamMessageReader(input),
      new StreamMessageWriter(output),
    );
    const keep = <T>(list: T[], item: T): void => {
      list.push(item);
      for (const look of this.#waiting.splice(0)) look();
    };
    this.connection.onNotification(StatusNotification, (status) => {
      keep(this.statuses, status);
    });
    this.connection.onNotification(CacheStatsNotification, (stats) => {
      keep(this.stats, stats);
    });
    this.connection.onNotification(ShowMessageNotification.type, ({ message }) => {
      keep(this.shown, message);
    });
    this.connection.onNotification(LogMessageNotification.type, ({ message }) => {
      keep(this.log, message);
    });
    this.connection.onRequest(WorkDoneProgressCreateRequest.type, ({ token }) => {
      this.connection.onProgress(WorkDoneProgress.type, token, ({ kind }) => {
        keep(this.progress, kind);
      });
    });
    this.connection.onRequest(
      DefinitionsRequest,
      () => this.definitions ?? new Promise<never>(() => undefined),
    );
    this.connection.onError(() => undefined);
    this.connection.listen();
  }

  async initialize(
    initializationOptions?: unknown,
    workspaceFolders: readonly WorkspaceFolder[] = [],
    textDocument: TextDocumentClientCapabilities = { inlineCompletion: {} },
  ): Promise<InitializeResult> {
    const result = await this.connection.sendRequest<InitializeResult>(InitializeRequest.method, {
      processId: null,
      rootUri: null,
      workspaceFolders,
      capabilities: {
        textDocument,
        window: { workDoneProgress: true },
        workspace: { workspaceFolders: true },
        experimental: { sightline: { definitions: true } },
      },
      initializationOptions,
    });
    await this.connection.sendNotification(InitializedNotification.type, {});
    return result;
  }

  open(uri: string, text: string): Promise<void> {
    return this.connection.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: 'typescript', version: 1, text },
    });
  }

  /** Replaces nothing at `position` with `text`, as typing does. */
  insert(uri: string, version: number, position: Position, text: string): Promise<void> {
    return this.change(uri, version, { start: position, end: position }, text);
  }

  change(uri: string, version: number, range: Range, text: string): Promise<void> {
    return this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version },
      contentChanges: [{ range, text }],
    });
  }

  close(uri: string): Promise<void> {
    return this.connection.sendNotification(DidCloseTextDocumentNotification.type, {
      textDocument: { uri },
    });
  }

  configure(sightline: unknown): Promise<void> {
    return this.connection.sendNotification(DidChangeConfigurationNotification.type, {
      settings: { sightline },
    });
  }

  async complete(
    uri: string,
    position: Position,
    options: {
      readonly token?: CancellationToken;
      readonly selectedCompletionInfo?: SelectedCompletionInfo;
      readonly triggerKind?: InlineCompletionTriggerKind;
    } = {},
  ): Promise<InlineCompletionItem[]> {
    const { token, selectedCompletionInfo, triggerKind } = options;
    const result = await this.connection.sendRequest(
      InlineCompletionRequest.type,
      {
        textDocument: { uri },
        position,
        context: {
          triggerKind: triggerKind ?? InlineCompletionTriggerKind.Automatic,
          ...(selectedCompletionInfo === undefined ? {} : { selectedCompletionInfo }),
        },
      },
      token,
    );
    return Array.isArray(result) ? result : (result?.items ?? []);
  }

  /** What an editor that knows no inline completions shows in a list. */
  async list(
    uri: string,
    position: Position,
    token?: CancellationToken,
  ): Promise<CompletionItem[]> {
    const result = await this.connection.sendRequest(
      CompletionRequest.type,
      { textDocument: { uri }, position },
      token,
    );
    return Array.isArray(result) ? result : (result?.items ?? []);
  }

  /** Resolves once what was received satisfies `condition`; how long that takes is not its business. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
  }
}
