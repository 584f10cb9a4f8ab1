import {
  ErrorCodes,
  LSPErrorCodes,
  MessageType,
  Position,
  ResponseError,
  ShowMessageNotification,
  TextDocumentIdentifier,
  TextDocuments,
  TextDocumentSyncKind,
  WorkDoneProgress,
  InlineCompletionTriggerKind,
  type Connection,
  type InlineCompletionItem,
  type InlineCompletionParams,
} from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import type { CompletionRequest } from './completion/complete.ts';
import type { OpenDocument } from './context/settle.ts';
import { diagnose } from './diagnose.ts';
import { describeFailure, isCancellation, type Failure } from './engine/failure.ts';
import {
  CacheStatsNotification,
  CacheStatsRequest,
  ContextRequest,
  DiagnoseRequest,
  InstallGpuRuntimeRequest,
} from './protocol.ts';
import type { Result } from './result.ts';
import { CompletionService, type Offer, type ServiceOptions } from './service.ts';
import { parseSettings } from './settings.ts';
import { rate } from './stats.ts';
import { notify, StatusReporter } from './status.ts';

export interface ServerOptions extends Omit<ServiceOptions, 'settings' | 'documents'> {
  readonly version: string;
  /** Downloads the GPU runtime; resolves to a sentence for people. */
  readonly installRuntime: (
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ) => Promise<Result<string, Failure>>;
}

/** Serves Sightline on a connection that does not listen yet. `close` frees the model. */
export function serve(connection: Connection, options: ServerOptions): { close(): Promise<void> } {
  const documents = new TextDocuments(TextDocument);
  const status = new StatusReporter(connection);
  const { settings } = parseSettings(undefined);
  const service = new CompletionService(
    { ...options, settings, documents: () => documents.all().map(openDocument) },
    {
      status: (news) => {
        status.report(news);
      },
      stats: (news) => {
        notify(connection, CacheStatsNotification, news);
      },
    },
  );

  const problemsShown = new Set<string>();
  const takeSettings = (input: unknown): void => {
    const parsed = parseSettings(input);
    service.configure(parsed.settings);
    for (const { name, reason } of parsed.problems) {
      const message = `sightline.${name} ${reason}; the default is used.`;
      if (problemsShown.has(message)) continue;
      problemsShown.add(message);
      notify(connection, ShowMessageNotification.type, {
        type: MessageType.Warning,
        message,
      });
    }
  };

  connection.onInitialize(({ initializationOptions }) => {
    // Nothing may be shown before the client says that it is initialized.
    connection.onInitialized(() => {
      takeSettings(initializationOptions);
      service.announce();
    });
    return {
      serverInfo: { name: 'Sightline', version: options.version },
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
        inlineCompletionProvider: true,
      },
    };
  });
  connection.onDidChangeConfiguration(({ settings: all }: { settings: unknown }) => {
    takeSettings(isObject(all) ? all['sightline'] : undefined);
  });
  connection.onRequest(CacheStatsRequest, () => service.stats);
  connection.onRequest(ContextRequest, () => service.context());
  connection.onRequest(DiagnoseRequest, () =>
    diagnose({
      version: options.version,
      loadAddon: options.loadAddon,
      settings: service.settings,
      status: service.idle,
      stats: service.stats,
    }),
  );
  connection.onRequest(InstallGpuRuntimeRequest, async ({ workDoneToken }, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => {
      abort.abort();
    });
    let shown = -1;
    const showProgress = (fraction: number): void => {
      const percentage = Math.floor(fraction * 100);
      if (workDoneToken === undefined || percentage === shown) return;
      shown = percentage;
      const value = { kind: 'report' as const, percentage };
      connection.sendProgress(WorkDoneProgress.type, workDoneToken, value).catch(() => undefined);
    };
    const outcome = await options.installRuntime(showProgress, abort.signal);
    if (outcome.ok) return outcome.value;
    return new ResponseError<void>(
      isCancellation(outcome.error) ? LSPErrorCodes.RequestCancelled : LSPErrorCodes.RequestFailed,
      describeFailure(outcome.error),
    );
  });
  connection.onShutdown(() => service.close());

  // Told of every opening too.
  documents.onDidChangeContent(() => {
    if (service.settings.enable) service.documentsChanged();
  });
  documents.onDidClose(({ document }) => {
    running.get(document.uri)?.abort();
    if (service.settings.enable) service.documentsChanged();
  });

  /** The latest request for each document. */
  const running = new Map<string, AbortController>();

  connection.languages.inlineCompletion.on(async (params, token) => {
    if (!isComplete(params)) {
      return new ResponseError<void>(ErrorCodes.InvalidParams, 'No textDocument and position.');
    }
    const document = documents.get(params.textDocument.uri);
    if (document === undefined || !service.settings.enable) return [];
    running.get(document.uri)?.abort();
    const abort = new AbortController();
    running.set(document.uri, abort);
    const subscription = token.onCancellationRequested(() => {
      abort.abort();
    });
    if (token.isCancellationRequested) abort.abort();
    try {
      const request = completionRequest(document, params, service.settings.completion.maxTokens);
      const fresh = params.context.triggerKind === InlineCompletionTriggerKind.Invoked;
      const outcome = await service.complete(request, abort.signal, fresh);
      if (outcome.ok) {
        connection.console.log(describe(outcome.value));
        return completionItems(outcome.value, params);
      }
      return isCancellation(outcome.error)
        ? new ResponseError<void>(
            LSPErrorCodes.RequestCancelled,
            'Cancelled, or followed by a newer request for the same document.',
          )
        : [];
    } finally {
      subscription.dispose();
      if (running.get(document.uri) === abort) running.delete(document.uri);
    }
  });

  documents.listen(connection);
  return service;
}

/** What arrives is only said to be of its type. */
function isComplete(params: unknown): params is InlineCompletionParams {
  return (
    isObject(params) &&
    TextDocumentIdentifier.is(params['textDocument']) &&
    Position.is(params['position']) &&
    isObject(params['context'])
  );
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** The document as the model is to see it: with the item chosen in the suggest widget in place. */
function completionRequest(
  document: TextDocument,
  { position, context }: InlineCompletionParams,
  maxTokens: number,
): CompletionRequest {
  const chosen = context.selectedCompletionInfo;
  const content = document.getText();
  const { uri } = document;
  const name = nameOf(uri);
  if (chosen === undefined) {
    return { uri, name, text: content, offset: document.offsetAt(position), maxTokens };
  }
  const before = content.slice(0, document.offsetAt(chosen.range.start)) + chosen.text;
  const text = before + content.slice(document.offsetAt(chosen.range.end));
  return { uri, name, text, offset: before.length, maxTokens };
}

const openDocument = (document: TextDocument): OpenDocument => ({
  uri: document.uri,
  name: nameOf(document.uri),
  text: document.getText(),
});

/** The file's name in a URI of any scheme. */
function nameOf(uri: string): string {
  const name = /[^/:]*$/.exec(uri.replace(/[?#].*$/, ''))?.[0] ?? '';
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function completionItems(
  { text }: Offer,
  { context, position }: InlineCompletionParams,
): InlineCompletionItem[] {
  if (text === '') return [];
  const chosen = context.selectedCompletionInfo;
  // Without a range VS Code takes the word at the cursor and the rest of the line to be replaced.
  return chosen === undefined
    ? [{ insertText: text, range: { start: position, end: position } }]
    : [{ insertText: chosen.text + text, range: chosen.range }];
}

function describe({ completion }: Offer): string {
  if (completion === undefined) return 'went on with a completion offered before';
  const { inSight, result } = completion;
  const speed = rate(result.tokens.length, result.decodeSeconds)?.toFixed(1) ?? '-';
  return `${inSight.prefixTokens} + ${inSight.suffixTokens} of ${inSight.documentTokens} tokens in sight, ${result.reusedTokens} reused, ${result.prefilledTokens} prefilled in ${Math.round(result.prefillSeconds * 1000)} ms, ${result.tokens.length} decoded at ${speed} tokens/s`;
}
