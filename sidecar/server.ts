import { setTimeout as sleep } from 'node:timers/promises';
import {
  CancellationTokenSource,
  ErrorCodes,
  LSPErrorCodes,
  MessageType,
  Position,
  ResponseError,
  ShowMessageNotification,
  TextDocumentIdentifier,
  TextDocuments,
  TextDocumentSyncKind,
  InlineCompletionTriggerKind,
  type CancellationToken,
  type Connection,
  type InlineCompletionParams,
} from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { z } from 'zod';
import type { CompletionRequest } from './completion/complete.ts';
import { inlineItems, listItems, listPlace } from './completionItems.ts';
import type { SourceFile } from './context/settle.ts';
import { nameIn, type Folder } from './context/workspace.ts';
import { isCancellation, type Failure } from './engine/failure.ts';
import { answerOwnRequests, type OwnRequestsOptions } from './ownRequests.ts';
import { memoryHere } from './models/machine.ts';
import { serveModels } from './models/requests.ts';
import {
  CacheStatsNotification,
  DefinitionsRequest,
  NextEditRequest,
  ServerTokenNotification,
  ViewNotification,
  type Definition,
  type DocumentPlace,
} from './protocol.ts';
import { answerWith, invalid, LatestRequests } from './requests.ts';
import { succeed, type Result } from './result.ts';
import type { Offer } from './completion/requests.ts';
import { CompletionService, type ServiceOptions } from './service.ts';
import { parseSettings, withOverrides } from './settings.ts';
import { rate } from './stats.ts';
import { notify, StatusReporter } from './status.ts';

export interface ServerOptions
  extends
    OwnRequestsOptions,
    Omit<ServiceOptions, 'settings' | 'documents' | 'folders' | 'definitions'> {
  /** What settings that the client leaves out are; absent: as docs/protocol.md says. */
  readonly defaults?: object;
}

/** How long definitions are waited for, in milliseconds; the client takes half a second. */
const definitionsMs = 700;

/** Behind which an editor that shows lists asks at once: besides words, where code goes on. */
const triggerCharacters = ['.', ',', '(', '[', '{', '=', ' '];

/** Serves Sightline on a connection that does not listen yet. `close` frees the model. */
export function serve(connection: Connection, options: ServerOptions): { close(): Promise<void> } {
  const documents = new TextDocuments(TextDocument);
  const status = new StatusReporter(connection);
  const { settings } = parseSettings(undefined, options.defaults);
  let folders: readonly Folder[] = [];
  let findsDefinitions = false;
  const openDocuments = (): SourceFile[] =>
    documents.all().map((document) => ({
      uri: document.uri,
      name: nameIn(folders, document.uri),
      text: document.getText(),
    }));
  const service = new CompletionService(
    {
      ...options,
      settings,
      documents: openDocuments,
      folders: () => folders,
      definitions: async (uri, offset, signal) => {
        const document = documents.get(uri);
        if (!findsDefinitions || document === undefined) return [];
        return findDefinitions(connection, { uri, ...document.positionAt(offset) }, signal);
      },
    },
    {
      status: (news) => {
        status.report(news);
      },
      stats: (news) => {
        notify(connection, CacheStatsNotification, news);
      },
      warn: (message) => {
        connection.console.warn(message);
      },
    },
  );

  const problemsShown = new Set<string>();
  const takeSettings = (input: unknown): void => {
    const parsed = parseSettings(input, options.defaults);
    service.configure(withOverrides(parsed.settings, options.bundledModel));
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

  connection.onInitialize((params) => {
    const initializationOptions: unknown = params.initializationOptions;
    const { capabilities } = params;
    folders = foldersOf(params);
    findsDefinitions = announcesDefinitions(capabilities.experimental);
    // Nothing may be shown before the client says that it is initialized.
    connection.onInitialized(() => {
      takeSettings(ownIn(initializationOptions) ?? initializationOptions);
      service.announce();
      if (capabilities.workspace?.workspaceFolders !== true) return;
      connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
        const gone = new Set(removed.map(({ uri }) => uri));
        folders = [...folders.filter(({ uri }) => !gone.has(uri)), ...added];
      });
    });
    return {
      serverInfo: { name: 'Sightline', version: options.version },
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
        inlineCompletionProvider: true,
        ...(capabilities.textDocument?.inlineCompletion === undefined
          ? { completionProvider: { triggerCharacters } }
          : {}),
        workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      },
    };
  });
  connection.onDidChangeConfiguration(({ settings: all }: { settings: unknown }) => {
    const own = ownIn(all);
    if (own !== undefined) takeSettings(own);
  });
  connection.onNotification(ViewNotification, ({ uri, firstLine, lastLine }) => {
    const document = documents.get(uri);
    if (document === undefined || !service.settings.enable) return;
    const line = Math.floor((firstLine + lastLine) / 2);
    service.documentViewed(uri, document.offsetAt({ line, character: 0 }));
  });
  connection.onNotification(ServerTokenNotification, ({ token }) => {
    service.setServerToken(token);
  });
  answerOwnRequests(connection, service, options);
  serveModels(connection, {
    bundledModel: options.bundledModel,
    settings: () => service.settings,
    memory: () => memoryHere(options.loadAddon, service.settings),
  });
  connection.onShutdown(() => service.close());

  // Told of every opening too.
  documents.onDidChangeContent(({ document }) => {
    nextEdits.giveUp(document.uri);
    if (service.settings.enable) service.documentChanged(document.uri);
  });
  documents.onDidClose(({ document }) => {
    completions.giveUp(document.uri);
    nextEdits.giveUp(document.uri);
    if (service.settings.enable) service.documentChanged(document.uri);
  });

  const completions = new LatestRequests();
  const nextEdits = new LatestRequests();

  /** What is offered at a place; no more once it is cancelled, followed by a newer request for the document, or that is closed. */
  async function offersAt(
    params: PlaceParams,
    token: CancellationToken,
    isInvoked: boolean,
  ): Promise<readonly Offer[] | ResponseError> {
    const document = documents.get(params.textDocument.uri);
    if (document === undefined || !service.settings.enable) return [];
    const { maxTokens } = service.settings.completion;
    const name = nameIn(folders, document.uri);
    const request = completionRequest(document, name, params, maxTokens);
    const outcome = await completions.run(document.uri, token, (signal) =>
      isInvoked ? service.candidates(request, signal) : oneOf(service.complete(request, signal)),
    );
    if (!outcome.ok) {
      return isCancellation(outcome.error)
        ? new ResponseError(
            LSPErrorCodes.RequestCancelled,
            'Cancelled, or followed by a newer request for the same document.',
          )
        : [];
    }
    for (const offer of outcome.value) connection.console.log(describe(offer));
    return outcome.value;
  }

  connection.onRequest(NextEditRequest, async (params, token) => {
    const given = nextEditParams.safeParse(params);
    if (!given.success) return invalid(given.error);
    const { uri, version, line, character } = given.data;
    const document = documents.get(uri);
    if (document?.version !== version || !service.settings.enable) return null;
    const { maxTokens } = service.settings.completion;
    const place = { textDocument: { uri }, position: { line, character } };
    const request = completionRequest(document, nameIn(folders, uri), place, maxTokens);
    const outcome = await nextEdits.run(uri, token, (signal) => service.nextEdit(request, signal));
    if (!outcome.ok) return answerWith(outcome);
    if (outcome.value === undefined) return null;
    const { edit, why } = outcome.value;
    const range = { start: document.positionAt(edit.start), end: document.positionAt(edit.end) };
    return { range, newText: edit.text, why };
  });
  connection.languages.inlineCompletion.on(async (params, token) => {
    if (!isPlace(params) || !isObject(params.context)) return noPlace;
    const isInvoked = params.context.triggerKind === InlineCompletionTriggerKind.Invoked;
    const offers = await offersAt(params, token, isInvoked);
    return offers instanceof ResponseError
      ? offers
      : offers.flatMap((offer) => inlineItems(offer, params));
  });
  // LSP does not say whether a list was asked for or came up by typing.
  connection.onCompletion(async (params, token) => {
    if (!isPlace(params)) return noPlace;
    const { textDocument, position } = params;
    const document = documents.get(textDocument.uri);
    if (document === undefined) return [];
    const place = listPlace(document, position);
    const offers = await offersAt({ textDocument, position }, token, false);
    if (offers instanceof ResponseError) return offers;
    // What is typed next may change it.
    return { isIncomplete: true, items: offers.flatMap((offer) => listItems(offer, place)) };
  });

  documents.listen(connection);
  return service;
}

// What arrives is only said to be of its type.
const count = z.int().min(0);
const nextEditParams = z.object({
  uri: z.string(),
  version: z.int(),
  line: count,
  character: count,
});

/** The folders that are open: all of them, or the one that editors without workspaces name. */
function foldersOf(params: object): Folder[] {
  const { workspaceFolders, rootUri } = { ...params } as Readonly<Record<string, unknown>>;
  const named: unknown[] = Array.isArray(workspaceFolders) ? workspaceFolders : [];
  const folders = named.length > 0 ? named.filter(isObject) : [{ uri: rootUri }];
  return folders.flatMap(({ uri, name }) =>
    typeof uri === 'string' ? [{ uri, name: typeof name === 'string' ? name : '' }] : [],
  );
}

/** What requests for completions of both kinds have. */
type PlaceParams = Pick<InlineCompletionParams, 'textDocument' | 'position'> &
  Partial<Pick<InlineCompletionParams, 'context'>>;

/** What arrives is only said to be of its type. */
const isPlace = (params: unknown): params is PlaceParams =>
  isObject(params) &&
  TextDocumentIdentifier.is(params['textDocument']) &&
  Position.is(params['position']);

const noPlace = new ResponseError(ErrorCodes.InvalidParams, 'No textDocument and position.');

/** Clients put what is ours under our name, beside what is for others. */
const ownIn = (settings: unknown): unknown =>
  isObject(settings) ? settings['sightline'] : undefined;

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** The document as the model is to see it: with the item chosen in the suggest widget in place. */
function completionRequest(
  document: TextDocument,
  name: string,
  { position, context }: PlaceParams,
  maxTokens: number,
): CompletionRequest {
  const chosen = context?.selectedCompletionInfo;
  const content = document.getText();
  const { uri, languageId } = document;
  const asked = { uri, name, languageId, maxTokens };
  if (chosen === undefined) return { ...asked, text: content, offset: document.offsetAt(position) };
  const before = content.slice(0, document.offsetAt(chosen.range.start)) + chosen.text;
  const text = before + content.slice(document.offsetAt(chosen.range.end));
  return { ...asked, text, offset: before.length };
}

const announcesDefinitions = (experimental: unknown): boolean =>
  isObject(experimental) &&
  isObject(experimental['sightline']) &&
  experimental['sightline']['definitions'] === true;

/** Asks the client; what it does not answer in time is not there. */
async function findDefinitions(
  connection: Connection,
  place: DocumentPlace,
  signal: AbortSignal,
): Promise<readonly Definition[]> {
  const source = new CancellationTokenSource();
  const answered = new AbortController();
  const found = connection
    .sendRequest(DefinitionsRequest, place, source.token)
    .then((all) => all.filter(isDefinition))
    .catch(() => []);
  const enough = AbortSignal.any([signal, answered.signal]);
  const late = sleep(definitionsMs, [], { signal: enough }).catch(() => []);
  try {
    return await Promise.race([found, late]);
  } finally {
    source.cancel();
    answered.abort();
  }
}

const isDefinition = (value: unknown): value is Definition =>
  isObject(value) && typeof value['uri'] === 'string' && typeof value['line'] === 'number';

async function oneOf(
  outcome: Promise<Result<Offer, Failure>>,
): Promise<Result<readonly Offer[], Failure>> {
  const offer = await outcome;
  return offer.ok ? succeed([offer.value]) : offer;
}

function describe({ completion }: Offer): string {
  if (completion === undefined) return 'went on with what was offered before';
  if ('answer' in completion) {
    const { promptTokens = '?', reusedTokens = 0, generatedTokens = '?' } = completion.answer;
    return `${promptTokens} tokens on the server, ${reusedTokens} reused, ${generatedTokens} generated in ${Math.round(completion.seconds * 1000)} ms`;
  }
  const { inSight, result } = completion;
  const speed = rate(result.tokens.length, result.decodeSeconds)?.toFixed(1) ?? '-';
  return `${inSight.prefixTokens} + ${inSight.suffixTokens} of ${inSight.documentTokens} tokens in sight, ${result.reusedTokens} reused, ${result.prefilledTokens} prefilled in ${Math.round(result.prefillSeconds * 1000)} ms, ${result.tokens.length} decoded at ${speed} tokens/s`;
}
