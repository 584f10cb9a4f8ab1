import { basename } from 'node:path';
import { complete, type Completion, type CompletionRequest } from './completion/complete.ts';
import { canFillInTheMiddle } from './completion/fim.ts';
import { Engine, type EngineOptions, type LoadedModel } from './engine/engine.ts';
import { describeFailure, isCancellation, type Failure } from './engine/failure.ts';
import type { LoadedAddon } from './engine/load.ts';
import type { CacheStats, SidecarStatus, SightlineSettings } from './protocol.ts';
import { type Result } from './result.ts';
import { modelPathOf } from './settings.ts';
import { cacheStats } from './stats.ts';

/** Where the service's news go. The same status may come several times in a row. */
export interface ServiceObserver {
  status(status: SidecarStatus): void;
  stats(stats: CacheStats): void;
}

export interface ServiceOptions {
  readonly loadAddon: () => Result<LoadedAddon, Failure>;
  readonly bundledModel: string;
  readonly settings: SightlineSettings;
}

/** The parts of the settings that a loaded model depends on. */
export function engineOptionsOf(settings: SightlineSettings, bundledModel: string): EngineOptions {
  const { policy, sink, window } = settings.cache;
  return {
    modelPath: modelPathOf(settings, bundledModel),
    contextTokens: settings.model.contextTokens,
    threads: settings.threads,
    cache: policy === 'full' ? { policy } : { policy, sink, window },
  };
}

/** Completes documents with the configured model, and says how it is doing. Knows no LSP. */
export class CompletionService {
  readonly #observer: ServiceObserver;
  readonly #bundledModel: string;
  readonly #engine: Engine;
  #settings: SightlineSettings;
  #stats: CacheStats | null = null;
  /** What to say while nothing runs. */
  #idle: SidecarStatus = { state: 'ready', message: 'The model loads with the first document.' };
  #running = 0;

  constructor({ loadAddon, bundledModel, settings }: ServiceOptions, observer: ServiceObserver) {
    this.#observer = observer;
    this.#bundledModel = bundledModel;
    this.#settings = settings;
    const options = engineOptionsOf(settings, bundledModel);
    this.#engine = new Engine(loadAddon, options, {
      progress: (fraction, { modelPath }) => {
        observer.status({ state: 'loading', fraction, message: `Loading ${basename(modelPath)}` });
      },
      loaded: (model) => {
        this.#idle = idleStatus(model);
        observer.status(this.#idle);
        this.#publish(model);
      },
      failed: (failure) => {
        this.#idle = { state: 'error', message: describeFailure(failure) };
        observer.status(this.#idle);
      },
    });
  }

  get settings(): SightlineSettings {
    return this.#settings;
  }

  /** Null before a model is loaded. */
  get stats(): CacheStats | null {
    return this.#stats;
  }

  configure(settings: SightlineSettings): void {
    this.#settings = settings;
    this.#engine.configure(engineOptionsOf(settings, this.#bundledModel));
  }

  /** Tells the observer how things stand before anything has happened. */
  announce(): void {
    this.#observer.status(this.#idle);
  }

  /** Starts to load the model, if that has not begun; the outcome is reported as a status. */
  warmUp(): void {
    void this.#engine.model(new AbortController().signal);
  }

  /** Waits for the model where needed. Every failure is also reported as a status. */
  async complete(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<Completion, Failure>> {
    const model = await this.#engine.model(signal);
    if (!model.ok) return model;
    this.#running++;
    const outcome = await complete(model.value, request, signal, () => {
      this.#observer.status({ state: 'generating', message: `Completing ${request.name}` });
    });
    this.#running--;
    if (outcome.ok) this.#publish(model.value, outcome.value);
    if (outcome.ok || isCancellation(outcome.error)) {
      if (this.#running === 0) this.#observer.status(this.#idle);
    } else {
      const state = outcome.error.code === 'DOCUMENT_BINARY' ? 'warning' : 'error';
      this.#observer.status({ state, message: describeFailure(outcome.error) });
    }
    return outcome;
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  #publish(model: LoadedModel, latest?: Completion): void {
    this.#stats = cacheStats(model.native, this.#settings.cache.policy, latest);
    this.#observer.stats(this.#stats);
  }
}

function idleStatus({ native: { info } }: LoadedModel): SidecarStatus {
  const context = `${info.contextTokens} tokens of context`;
  return canFillInTheMiddle(info.fim)
    ? { state: 'ready', message: `${info.name}, ${context}` }
    : {
        state: 'warning',
        message: `${info.name} has no fill-in-the-middle tokens: completions see only the text before the cursor. Choose a code model in sightline.model.path to use the text after it too.`,
      };
}
