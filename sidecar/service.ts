import { basename } from 'node:path';
import { complete, type Completion, type CompletionRequest } from './completion/complete.ts';
import { canFillInTheMiddle } from './completion/fim.ts';
import { OfferedCompletions } from './completion/offered.ts';
import { ContextKeeper, liveTokensOf } from './context/keeper.ts';
import type { OpenDocument } from './context/settle.ts';
import { showPrompt, type Prompt } from './context/show.ts';
import {
  Engine,
  type EngineOptions,
  type LoadedModel,
  type LoadObserver,
} from './engine/engine.ts';
import { describeFailure, failureOf, isCancellation, type Failure } from './engine/failure.ts';
import type { CachePolicy, ModelInfo } from './engine/addon.ts';
import { gpuSearch } from './gpu/search.ts';
import type { LoadedAddon } from './engine/load.ts';
import type { SelfChecks } from './engine/selfChecks.ts';
import type { CacheStats, SidecarStatus, SightlineSettings } from './protocol.ts';
import { succeed, type Result } from './result.ts';
import { modelPathOf } from './settings.ts';
import { cacheStats, completionStats, type CompletionStats } from './stats.ts';

/** Where the service's news go. The same status may come several times in a row. */
export interface ServiceObserver {
  status(status: SidecarStatus): void;
  stats(stats: CacheStats): void;
}

/** What is offered; `completion`: what the model did for it, where it was asked. */
export interface Offer {
  readonly text: string;
  readonly completion?: Completion;
}

export interface ServiceOptions {
  readonly loadAddon: () => Result<LoadedAddon, Failure>;
  readonly bundledModel: string;
  readonly selfChecks: SelfChecks;
  readonly settings: SightlineSettings;
  /** All that the editor has open. */
  readonly documents: () => Iterable<OpenDocument>;
  /** How long nothing happens before open documents are settled. */
  readonly idleMs: number;
}

/** The parts of the settings that a loaded model depends on. */
export function engineOptionsOf(settings: SightlineSettings, bundledModel: string): EngineOptions {
  const { cache } = settings;
  const gpu = gpuSearch(settings.gpu);
  return {
    modelPath: modelPathOf(settings, bundledModel),
    contextTokens: settings.model.contextTokens,
    threads: settings.threads,
    cacheBudgetBytes: cache.budgetMiB * 1024 * 1024,
    cache: cachePolicyOf(cache),
    // FP16 throughout has nothing to be checked.
    selfCheck: cache.selfCheck && cache.policy !== 'full',
    ...(gpu === undefined ? {} : { gpu }),
  };
}

/** Only what the policy uses, so that a change of anything else does not load the model anew. */
function cachePolicyOf(cache: SightlineSettings['cache']): CachePolicy {
  const { policy, tier, sink, window, span, keep, weights } = cache;
  const edges = { sink, ...(window === 0 ? {} : { window }) };
  switch (policy) {
    case 'full':
      return { policy };
    case 'auto':
    case 'compressed':
      return { policy, ...edges };
    case 'hierarchical':
      return { policy, ...edges, span };
    case 'selective':
    case 'attention':
    case 'lowrank':
      return { policy, ...edges, tier };
    case 'h2o':
      return { policy, ...edges, tier, keep };
    case 'importance':
      return { policy, ...edges, tier, keep, weights };
  }
}

/** Completes documents with the configured model, and says how it is doing. Knows no LSP. */
export class CompletionService {
  readonly #observer: ServiceObserver;
  readonly #bundledModel: string;
  readonly #engine: Engine;
  readonly #keeper: ContextKeeper;
  readonly #offered = new OfferedCompletions();
  #settings: SightlineSettings;
  #stats: CacheStats | null = null;
  #latest: CompletionStats = {};
  #prompt: { readonly model: LoadedModel; readonly prompt: Prompt } | undefined;
  /** What to say while nothing runs. */
  #idle: SidecarStatus = { state: 'ready', message: 'The model loads with the first document.' };
  #running = 0;

  constructor(options: ServiceOptions, observer: ServiceObserver) {
    const { loadAddon, bundledModel, selfChecks, settings, documents, idleMs } = options;
    this.#observer = observer;
    this.#bundledModel = bundledModel;
    this.#settings = settings;
    const loadObserver: LoadObserver = {
      progress: (fraction, { modelPath }) => {
        observer.status({ state: 'loading', fraction, message: `Loading ${basename(modelPath)}` });
      },
      loaded: (model) => {
        this.#idle = idleStatus(model);
        observer.status(this.#idle);
        this.#publish(model, {});
      },
      failed: (failure) => {
        this.#idle = { state: 'error', message: describeFailure(failure) };
        observer.status(this.#idle);
      },
    };
    const engineOptions = engineOptionsOf(settings, bundledModel);
    this.#engine = new Engine(loadAddon, engineOptions, loadObserver, selfChecks);
    this.#keeper = new ContextKeeper({
      documents,
      maxTokens: () => this.#settings.completion.maxTokens,
      idleMs,
      onFailure: (failure) => {
        observer.status({ state: 'warning', message: describeFailure(failure) });
      },
      onFill: (model, { files }) => {
        const { inSight } = this.#latest;
        const now = inSight === undefined ? {} : { inSight: { ...inSight, files } };
        this.#publish(model, { ...this.#latest, ...now });
      },
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
    this.#offered.clear();
    this.#prompt = undefined;
    this.#engine.configure(engineOptionsOf(settings, this.#bundledModel));
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
  documentsChanged(): void {
    void this.#engine.model(new AbortController().signal).then((model) => {
      if (model.ok && this.#running === 0) this.#keeper.wait(model.value);
    });
  }

  /**
   * Goes on with a completion that was offered before, unless a `fresh` one is asked for. Otherwise waits for the model
   * where needed. Every failure is also reported as a status.
   */
  async complete(
    request: CompletionRequest,
    signal: AbortSignal,
    fresh = false,
  ): Promise<Result<Offer, Failure>> {
    const rest = fresh ? undefined : this.#offered.find(request);
    if (rest !== undefined) return succeed({ text: rest });
    const outcome = await this.#completeAnew(request, signal);
    if (!outcome.ok) return outcome;
    const { text } = outcome.value;
    if (text !== '') this.#offered.remember(request, text);
    return succeed({ text, completion: outcome.value });
  }

  async #completeAnew(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<Completion, Failure>> {
    const model = await this.#engine.model(signal);
    if (!model.ok) return model;
    this.#running++;
    const { contextTokens } = model.value.native.info;
    const liveStart = this.#keeper.liveStart(request.uri);
    const sized = {
      ...request,
      ...(liveStart === undefined ? {} : { liveStart }),
      liveTokens: liveTokensOf(contextTokens),
      stable: this.#keeper.take(model.value),
    };
    const outcome = await complete(model.value, sized, signal, (event, inSight) => {
      this.#observer.status({ state: 'generating', message: `Completing ${request.name}` });
      if (event.kind === 'text') this.#publish(model.value, { ...this.#latest, inSight });
    });
    this.#running--;
    if (outcome.ok) {
      this.#publish(model.value, completionStats(outcome.value));
      this.#prompt = { model: model.value, prompt: outcome.value.prompt };
      this.#keeper.note(request.uri, { cursor: request.offset, shown: outcome.value.shown });
    }
    if (this.#running === 0) this.#keeper.wait(model.value);
    if (outcome.ok || isCancellation(outcome.error)) {
      if (this.#running === 0) this.#observer.status(this.#idle);
    } else {
      const state = outcome.error.code === 'DOCUMENT_BINARY' ? 'warning' : 'error';
      this.#observer.status({ state, message: describeFailure(outcome.error) });
    }
    return outcome;
  }

  async close(): Promise<void> {
    this.#keeper.stop();
    await this.#engine.close();
  }

  #publish(model: LoadedModel, latest: CompletionStats): void {
    try {
      this.#stats = cacheStats(model, this.#settings.cache.policy, latest);
    } catch (error) {
      // Events of a completion may still arrive after other settings have closed its model.
      if (failureOf(error).code === 'CLOSED') return;
      throw error;
    }
    this.#latest = latest;
    this.#observer.stats(this.#stats);
  }
}

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
