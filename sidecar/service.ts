import { basename } from 'node:path';
import { chat } from './chat/chat.ts';
import { chatRemotely } from './chat/remotely.ts';
import { complete, type Completion, type CompletionRequest } from './completion/complete.ts';
import { canFillInTheMiddle } from './completion/fim.ts';
import { completeRemotely } from './completion/remotely.ts';
import { CompletionRequests, type Offer } from './completion/requests.ts';
import type { Outcome } from './completion/running.ts';
import { untellable } from './context/secrets.ts';
import { charactersPerToken } from './context/settle.ts';
import { RemoteServer, serverCharactersPerToken } from './remote/server.ts';
import { ContextKeeper, liveTokensOf } from './context/keeper.ts';
import type { SourceFile } from './context/settle.ts';
import { ContextSources, type FindDefinitions } from './context/sources.ts';
import { nameIn, repositoryOf, type Folder } from './context/workspace.ts';
import { showPrompt, type Prompt } from './context/show.ts';
import { Snapshots } from './context/snapshot.ts';
import type { SnapshotFiles } from './context/snapshotFiles.ts';
import type { StablePrefix } from './context/stable.ts';
import { Engine, type LoadedModel, type LoadObserver } from './engine/engine.ts';
import {
  cancelled,
  describeFailure,
  failureOf,
  isCancellation,
  type Failure,
} from './engine/failure.ts';
import type { CompleteEvent, ModelInfo } from './engine/addon.ts';
import type { LoadedAddon } from './engine/load.ts';
import { engineOptionsOf } from './engineOptions.ts';
import type { SelfChecks } from './engine/selfChecks.ts';
import { Line } from './engine/line.ts';
import { sequences } from './engine/sequences.ts';
import { Turns } from './engine/turns.ts';
import { policyForecasts, profileForecasts } from './forecast.ts';
import { modelInSight } from './modelInSight.ts';
import { LocalHeaders } from './models/local.ts';
import type {
  CacheQuality,
  CacheStats,
  ChatAnswer,
  ChatParams,
  MemoryForecast,
  ModelInSight,
  SidecarStatus,
  SightlineSettings,
} from './protocol.ts';
import type { FoundEdit } from './nextEdit/editing.ts';
import { NextEdits } from './nextEdit/nextEdits.ts';
import { measureCache } from './quality/measure.ts';
import { fail, succeed, type Result } from './result.ts';
import { overridesOf } from './settings.ts';
import type { Grammars } from './syntax/parser.ts';
import { Windows } from './windows.ts';
import { cacheStats, completionStats, type CompletionStats } from './stats.ts';

/** Where the service's news go. The same status may come several times in a row. */
export interface ServiceObserver {
  status(status: SidecarStatus): void;
  stats(stats: CacheStats): void;
  /** For the log: completions are as they were. */
  warn(message: string): void;
}

export interface ServiceOptions {
  readonly loadAddon: () => Result<LoadedAddon, Failure>;
  readonly bundledModel: string;
  readonly selfChecks: SelfChecks;
  readonly settings: SightlineSettings;
  /** Absent: completions end by indentation alone. */
  readonly grammars?: Grammars;
  /** All that the editor has open. */
  readonly documents: () => Iterable<SourceFile>;
  /** The folders that the editor has open. */
  readonly folders: () => readonly Folder[];
  readonly definitions: FindDefinitions;
  /** How long nothing happens before open documents are settled. */
  readonly idleMs: number;
  /** Where the windows of a user say that they are there; absent: this is the only one. */
  readonly windowsFolder?: string;
  /** Where the stable part of prompts outlives the process; absent: nowhere. */
  readonly snapshotFiles?: SnapshotFiles;
}

/** Completes documents with the configured model, and says how it is doing. Knows no LSP. */
export class CompletionService {
  readonly #observer: ServiceObserver;
  readonly #bundledModel: string;
  readonly #grammars: Grammars | undefined;
  readonly #engine: Engine;
  readonly #windows: Windows | undefined;
  readonly #sources: ContextSources;
  readonly #keeper: ContextKeeper;
  readonly #requests: CompletionRequests;
  /** Absent without grammars. */
  readonly #nextEdits: NextEdits | undefined;
  readonly #snapshots: Snapshots | undefined;
  #model: LoadedModel | undefined;
  #settings: SightlineSettings;
  #stats: CacheStats | null = null;
  #latest: CompletionStats = {};
  #prompt: { readonly model: LoadedModel; readonly prompt: Prompt } | undefined;
  /** What to say while nothing runs. */
  #idle: SidecarStatus = beforeLoading;
  /** Asked in place of the model. */
  #server: RemoteServer | undefined;
  #serverToken = '';
  #running = 0;
  readonly #options: ServiceOptions;
  readonly #turns = new Turns();
  readonly #line = new Line();
  readonly #headers = new LocalHeaders();
  /** What runs besides completions. */
  readonly #busy = new Set<SidecarStatus>();

  constructor(options: ServiceOptions, observer: ServiceObserver) {
    this.#options = options;
    const { loadAddon, bundledModel, selfChecks, settings, documents, idleMs } = options;
    const { folders, definitions, snapshotFiles } = options;
    this.#observer = observer;
    this.#bundledModel = bundledModel;
    this.#grammars = options.grammars;
    this.#settings = settings;
    const loadObserver: LoadObserver = {
      progress: (fraction, { modelPath }) => {
        observer.status({ state: 'loading', fraction, message: `Loading ${basename(modelPath)}` });
      },
      loaded: (model) => {
        this.#model = model;
        this.#idle = idleStatus(model);
        observer.status(this.#idle);
        void this.#shareBudget();
        this.#publish(model, {});
        this.#settleWhenIdle();
      },
      failed: (failure) => {
        this.#idle = { state: 'error', message: describeFailure(failure) };
        observer.status(this.#idle);
      },
    };
    const engineOptions = engineOptionsOf(settings, bundledModel);
    this.#engine = new Engine(loadAddon, engineOptions, loadObserver, selfChecks);
    this.#windows =
      options.windowsFolder === undefined
        ? undefined
        : new Windows(options.windowsFolder, () => {
            void this.#shareBudget();
          });
    this.#requests = new CompletionRequests({
      ask: (request, signal, onText) => this.#ask(request, signal, onText),
      textOf: (uri) => this.#textOf(uri),
    });
    if (options.grammars !== undefined) {
      this.#nextEdits = new NextEdits({
        grammars: options.grammars,
        fill: (request, signal) => this.#requests.fill(request, signal),
      });
    }
    this.#sources = new ContextSources({
      folders,
      pinned: () => this.#settings.context.pinned,
      searches: () => this.#settings.context.related,
      definitions,
    });
    if (snapshotFiles !== undefined) {
      this.#snapshots = new Snapshots({
        files: snapshotFiles,
        workspace: () => folders().map(({ uri }) => uri),
        isWanted: () => this.#settings.cache.keepOnDisk,
        onFailure: (failure) => {
          observer.warn(describeFailure(failure));
        },
      });
    }
    this.#keeper = new ContextKeeper({
      documents,
      sources: this.#sources,
      repository: () => repositoryOf(folders()),
      maxTokens: () => this.#settings.completion.maxTokens,
      idleMs,
      onFailure: (failure) => {
        observer.status({ state: 'warning', message: describeFailure(failure) });
      },
      onFill: (model, { files, leftOut }) => {
        const { inSight } = this.#latest;
        const now = inSight === undefined ? {} : { inSight: { ...inSight, files, leftOut } };
        this.#publish(model, { ...this.#latest, ...now });
      },
      ...(this.#snapshots === undefined ? {} : { snapshots: this.#snapshots }),
    });
  }

  get settings(): SightlineSettings {
    return this.#settings;
  }

  /** How things stand while nothing runs. */
  get idle(): SidecarStatus {
    return this.#idle;
  }

  /** Null before a model is loaded. */
  get stats(): CacheStats | null {
    return this.#stats;
  }

  configure(settings: SightlineSettings): void {
    this.#settings = settings;
    this.#requests.clear();
    this.#prompt = undefined;
    this.#connect();
    this.#engine.configure(engineOptionsOf(settings, this.#bundledModel));
    if (settings.cache.budgetMiB > 0) void this.#windows?.join();
    else this.#windows?.leave();
    if (!settings.cache.keepOnDisk) void this.#snapshots?.forget();
    this.#nextEdits?.clear();
    for (const { uri } of this.#options.documents()) this.#follow(uri);
  }

  /** What the model saw for the latest completion, as Markdown; null before there was one. */
  async context(): Promise<string | null> {
    if (this.#prompt === undefined) return null;
    const { model, prompt } = this.#prompt;
    return showPrompt(model.native, prompt);
  }

  /** Tells the observer how things stand before anything has happened. */
  announce(): void {
    this.#observer.status(this.#idle);
  }

  /**
   * A document was opened, closed or changed. Starts to load the model, if that has not begun; the outcome is reported as a
   * status. Once nothing more happens the documents are settled.
   */
  documentChanged(uri: string): void {
    this.#requests.documentChanged(uri);
    this.#follow(uri);
    this.#settleWhenIdle();
  }

  /** The user looks at a place in a document. */
  documentViewed(uri: string, offset: number): void {
    this.#keeper.view(uri, offset);
    this.#settleWhenIdle();
  }

  /** What is to be offered while a user types. Waits for the model where needed. Every failure is also reported as a status. */
  complete(request: CompletionRequest, signal: AbortSignal): Promise<Result<Offer, Failure>> {
    return this.#requests.complete(request, signal);
  }

  /** What is offered to a user who asks for it, the likeliest first. */
  candidates(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<readonly Offer[], Failure>> {
    return this.#requests.candidates(request, signal);
  }

  /**
   * What is to be changed next, from the request's cursor on, after what the user did last in the document; undefined: nothing.
   * Failures of the model are also reported as a status.
   */
  async nextEdit(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<FoundEdit | undefined, Failure>> {
    return (await this.#nextEdits?.find(request, signal)) ?? succeed(undefined);
  }

  /** What the user does in a document is followed while next edits are wanted. */
  #follow(uri: string): void {
    if (this.#settings.nextEdit.enable) this.#nextEdits?.documentChanged(uri, this.#textOf(uri));
  }

  #textOf(uri: string): string | undefined {
    for (const document of this.#options.documents())
      if (document.uri === uri) return document.text;
    return undefined;
  }

  /** A bound on the cache's memory is one for all windows: each has an even share. */
  async #shareBudget(): Promise<void> {
    const { budgetMiB } = this.#settings.cache;
    const model = this.#model;
    if (model === undefined || budgetMiB === 0 || this.#windows === undefined) return;
    const { count } = this.#windows;
    const share = budgetMiB / count;
    try {
      await model.native.setCacheBudget(Math.floor(share * 2 ** 20));
    } catch (error) {
      // It has made way for another, which is told when it is loaded.
      if (!isCancellation(failureOf(error))) throw error;
      return;
    }
    const idle = idleStatus(model);
    const message =
      count === 1
        ? idle.message
        : `${idle.message}, ${Math.floor(share)} MiB of cache beside ${count - 1} other window${count === 2 ? '' : 's'}`;
    this.#idle = { ...idle, message };
    if (this.#isIdle) this.#observer.status(this.#idle);
  }

  #settleWhenIdle(): void {
    if (this.#server !== undefined) return;
    void this.#engine.model(new AbortController().signal).then((model) => {
      if (model.ok && this.#isIdle) this.#keeper.wait(model.value);
    });
  }

  async #ask(
    request: CompletionRequest,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<Outcome> {
    if (await this.#sources.hides(request.uri)) {
      const message = `${request.name} is in a .sightlineignore: it gets no completions.`;
      this.#observer.status({ state: 'ready', message });
      return fail({ code: 'DOCUMENT_IGNORED', message });
    }
    if (this.#server !== undefined) return this.#askServer(this.#server, request, signal, onText);
    const model = await this.#engine.model(signal);
    if (!model.ok) return model;
    this.#running++;
    const { contextTokens } = model.value.native.info;
    const liveStart = this.#keeper.liveStart(request.uri);
    const attempt = (stable: StablePrefix): Promise<Result<Completion, Failure>> => {
      const sized = {
        ...request,
        ...(liveStart === undefined ? {} : { liveStart }),
        ...(this.#grammars === undefined ? {} : { grammars: this.#grammars }),
        liveTokens: liveTokensOf(contextTokens),
        stable,
      };
      return complete(model.value, sized, signal, (event, inSight, text) => {
        this.#observer.status({ state: 'generating', message: `Completing ${request.name}` });
        if (event.kind !== 'text') return;
        this.#publish(model.value, { ...this.#latest, inSight });
        onText(text);
      });
    };
    const outcome = await this.#turns.first(async () => {
      let stable = this.#keeper.take(model.value, request.uri);
      let tried = await attempt(stable);
      while (!tried.ok && isMemoryShort(tried.error) && stable.tokens.length > 0) {
        this.#keeper.shrink(model.value);
        stable = this.#keeper.take(model.value, request.uri);
        tried = await attempt(stable);
      }
      return tried;
    });
    this.#running--;
    if (outcome.ok) {
      this.#publish(model.value, completionStats(outcome.value));
      const { prompt, shown } = outcome.value;
      if (request.isAhead !== true) {
        this.#prompt = { model: model.value, prompt };
        this.#keeper.note(request.uri, { cursor: request.offset, shown });
      }
    }
    if (outcome.ok || isCancellation(outcome.error)) {
      this.#rest(model.value);
    } else {
      if (this.#isIdle) this.#keeper.wait(model.value);
      const state = outcome.error.code === 'DOCUMENT_BINARY' ? 'warning' : 'error';
      this.#observer.status({ state, message: describeFailure(outcome.error) });
    }
    return outcome;
  }

  /** Asks the server in place of the model; what it publishes of its cache is part of the status then. */
  async #askServer(
    server: RemoteServer,
    request: CompletionRequest,
    signal: AbortSignal,
    onText: (text: string) => void,
  ): Promise<Outcome> {
    if (untellable(request) === 'secret') {
      const message = `${request.name} looks as if it held secrets: it is not sent to a server.`;
      this.#observer.status({ state: 'ready', message });
      return fail({ code: 'DOCUMENT_IGNORED', message });
    }
    this.#running++;
    this.#observer.status({ state: 'generating', message: `Completing ${request.name}` });
    const parsed = {
      ...request,
      ...(this.#grammars === undefined ? {} : { grammars: this.#grammars }),
    };
    const reach = charactersPerToken * this.#serverTokens;
    const outcome = await completeRemotely(server, parsed, reach, signal, onText);
    this.#running--;
    this.#restOnServer(server, outcome);
    return outcome;
  }

  /** Of the context on the server, as the settings have it. */
  get #serverTokens(): number {
    const { contextTokens } = this.#settings.model;
    return contextTokens > 0 ? contextTokens : usualServerTokens;
  }

  #restOnServer(server: RemoteServer, outcome: Result<unknown, Failure>): void {
    if (this.#running > 0) return;
    if (!outcome.ok && !isCancellation(outcome.error)) {
      const state = outcome.error.code === 'DOCUMENT_BINARY' ? 'warning' : 'error';
      this.#observer.status({ state, message: describeFailure(outcome.error) });
      return;
    }
    this.#observer.status(this.#idle);
    void server.describe().then((message) => {
      if (server !== this.#server) return;
      this.#idle = { state: 'ready', message };
      if (this.#running === 0) this.#observer.status(this.#idle);
    });
  }

  /** What the server of the settings wants to be told; empty: nothing. */
  setServerToken(token: string): void {
    this.#serverToken = token;
    this.#connect();
  }

  /** Takes the server of the settings, where they have one, in place of the model. */
  #connect(): void {
    const { url, model } = this.#settings.server;
    if (url === '') {
      if (this.#server === undefined) return;
      this.#server = undefined;
      this.#idle = beforeLoading;
      this.#observer.status(this.#idle);
      return;
    }
    const token = this.#serverToken === '' ? {} : { token: this.#serverToken };
    const server = RemoteServer.at({ url, model, idleMs: serverIdleMs, ...token });
    if (!server.ok) {
      this.#server = undefined;
      this.#idle = { state: 'error', message: describeFailure(server.error) };
    } else {
      this.#server = server.value;
      this.#idle = { state: 'ready', message: server.value.name };
      this.#keeper.stop();
      void this.#engine.unload();
      this.#model = undefined;
    }
    this.#observer.status(this.#idle);
  }

  /** Answers a conversation; completions go first while it runs. Failures are the caller's to tell. */
  async chat(
    params: ChatParams,
    signal: AbortSignal,
    onEvent: (event: CompleteEvent) => void,
  ): Promise<Result<ChatAnswer, Failure>> {
    const { documents, folders } = this.#options;
    if (params.quoted !== undefined && (await this.#sources.hides(params.quoted))) {
      const message = `${nameIn(folders(), params.quoted)} is in a .sightlineignore: no model is shown it.`;
      return fail({ code: 'DOCUMENT_IGNORED', message });
    }
    const server = this.#server;
    if (server !== undefined) {
      const hides = (uri: string): Promise<boolean> => this.#sources.hides(uri);
      const from = { documents: documents(), folders: folders(), hides };
      this.#observer.status({ state: 'generating', message: 'Answering' });
      const outcome = await chatRemotely(server, this.#serverTokens, params, from, signal, onEvent);
      this.#restOnServer(server, outcome);
      return outcome;
    }
    const of = { documents, folders, sources: this.#sources, keeper: this.#keeper };
    return this.#long('Answering', signal, async (model) => {
      const tell = (event: CompleteEvent): void => {
        onEvent(event);
        this.#publish(model, this.#latest);
      };
      return chat(model, params, { ...of, turns: this.#turns }, signal, tell);
    });
  }

  /** Compares the cache in use with an FP16 one on an open document, as far as the context holds it. */
  async measure(
    uri: string,
    signal: AbortSignal,
    onProgress: (fraction: number) => void,
  ): Promise<Result<CacheQuality, Failure>> {
    const document = [...this.#options.documents()].find((one) => one.uri === uri);
    if (document === undefined) {
      return fail({
        code: 'DOCUMENT_UNKNOWN',
        message: 'This document is not open in the editor. Open it, and measure again.',
      });
    }
    return this.#long(`Measuring the cache on ${document.name}`, signal, async (model) => {
      const all = await model.tokenizer.tokenize(document.text.replaceAll('\r\n', '\n'));
      if (all.length < 2) {
        return fail({
          code: 'DOCUMENT_UNKNOWN',
          message: `${document.name} has nothing to be measured on. Choose a longer document.`,
        });
      }
      const text = all.subarray(0, model.native.info.contextTokens - 1);
      const measured = await measureCache(model, text, this.#turns, signal, onProgress);
      const { policy } = this.#settings.cache;
      return succeed({ uri, documentTokens: all.length, policy, ...measured });
    });
  }

  /** Work that makes way for completions, one after the other; nothing is put into the cache beside it. */
  async #long<T>(
    message: string,
    signal: AbortSignal,
    work: (model: LoadedModel) => Promise<Result<T, Failure>>,
  ): Promise<Result<T, Failure>> {
    if (this.#server !== undefined) {
      const reason = `The model runs on a server (${this.#server.name}): that is for models on this machine.`;
      return fail({ code: 'SERVER_FAILED', message: reason });
    }
    const model = await this.#engine.model(signal);
    if (!model.ok) return model;
    const busy = { state: 'generating', message } as const;
    this.#busy.add(busy);
    this.#keeper.stop();
    this.#observer.status(busy);
    try {
      return await this.#line.run(signal, () => work(model.value));
    } catch (error) {
      return fail(signal.aborted ? cancelled : failureOf(error));
    } finally {
      this.#busy.delete(busy);
      this.#rest(model.value);
    }
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#busy.size === 0;
  }

  /** Says how things stand now, and goes on with what is done while nothing happens. */
  #rest(model: LoadedModel): void {
    if (this.#running > 0) return;
    const [busy] = this.#busy;
    this.#observer.status(busy ?? this.#idle);
    if (busy === undefined) this.#keeper.wait(model);
  }

  /** The loaded model; waits for it. */
  async loaded(signal: AbortSignal): Promise<Result<ModelInSight, Failure>> {
    if (this.#server !== undefined) return succeed(this.#server.inSight(this.#serverTokens));
    const model = await this.#engine.model(signal);
    return model.ok ? succeed(modelInSight(model.value)) : model;
  }

  /** The tokens of each text. */
  async countTokens(
    texts: readonly string[],
    signal: AbortSignal,
  ): Promise<Result<readonly number[], Failure>> {
    if (this.#server !== undefined) {
      return succeed(texts.map((text) => Math.ceil(text.length / serverCharactersPerToken)));
    }
    const model = await this.#engine.model(signal);
    if (!model.ok) return model;
    try {
      const counts = texts.map(async (text) => (await model.value.tokenizer.tokenize(text)).length);
      return succeed(await Promise.all(counts));
    } catch (error) {
      return fail(failureOf(error));
    }
  }

  /** What caches of the loaded model take by length; null before there is one, and while another is loaded. */
  async forecast(signal: AbortSignal): Promise<MemoryForecast | null> {
    const model = this.#model;
    const policies = model && whileOpen(() => policyForecasts(model.native));
    if (!policies) return null;
    const { cache } = this.#settings;
    const { contextTokens } = model.native.info;
    const header = await this.#headers.read(model.options.modelPath, signal);
    const profiles = header.ok ? profileForecasts(header.value, contextTokens, cache) : [];
    const own = overridesOf(this.#settings, this.#bundledModel);
    const overridden = (['policy', 'tier'] as const).filter((name) => own?.[name] !== undefined);
    return { ...policies, profiles, overridden };
  }

  /** Empties the cache, in memory and on disk; what is open is put into it anew. */
  async clearCache(): Promise<void> {
    const model = this.#model;
    if (model === undefined) return;
    this.#keeper.forget();
    await this.#snapshots?.forget();
    try {
      for (const sequence of Object.values(sequences)) await model.native.dropSequence(sequence);
    } catch (error) {
      // It has made way for another, and its cache with it.
      if (!isCancellation(failureOf(error))) throw error;
      return;
    }
    this.#publish(model, {});
    this.#rest(model);
  }

  async close(): Promise<void> {
    this.#requests.stop();
    this.#windows?.leave();
    await this.#keeper.close();
    await this.#engine.close();
  }

  #publish(model: LoadedModel, latest: CompletionStats): void {
    // Events of a completion may still arrive after other settings have closed its model.
    const stats = whileOpen(() => cacheStats(model, this.#settings.cache.policy, latest));
    if (stats === undefined) return;
    this.#stats = stats;
    this.#latest = latest;
    this.#observer.stats(stats);
  }
}

const beforeLoading: SidecarStatus = {
  state: 'ready',
  message: 'The model loads with the first document.',
};

/** How long a server may be silent, in milliseconds: a long prompt takes its time. */
const serverIdleMs = 60_000;

/** Tokens around the cursor that a server is shown where the settings do not say how long its context is. */
const usualServerTokens = 8192;

/** What a model says; undefined once it is closed. */
function whileOpen<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (failureOf(error).code === 'CLOSED') return undefined;
    throw error;
  }
}

const isMemoryShort = ({ code }: Failure): boolean =>
  code === 'CACHE_EXHAUSTED' || code === 'OUT_OF_MEMORY';

/** Where a model runs, if there was a choice. */
function placeOf({ gpu, gpuLayers, layers, gpuReason }: ModelInfo): string {
  if (gpu !== undefined) {
    const compiled = gpu.compilesKernels ? ', its kernels compiled by the driver' : '';
    const part = gpuLayers < layers ? `${gpuLayers} of ${layers} layers ` : '';
    return `, ${part}on ${gpu.name} (${(gpu.totalBytes / 2 ** 30).toFixed(0)} GiB, CUDA ${gpu.cuda})${compiled}`;
  }
  return gpuReason === undefined ? '' : `, on the CPU. ${gpuReason}`;
}

function idleStatus({ native: { info } }: LoadedModel): SidecarStatus {
  const context = `${info.contextTokens} tokens of context${placeOf(info)}`;
  return canFillInTheMiddle(info.fim)
    ? { state: 'ready', message: `${info.name}, ${context}` }
    : {
        state: 'warning',
        message: `${info.name} has no fill-in-the-middle tokens: completions see only the text before the cursor. Choose a code model in sightline.model.path to use the text after it too.`,
      };
}
