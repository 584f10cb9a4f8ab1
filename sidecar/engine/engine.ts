import type { CacheCheck } from '../protocol.ts';
import type { LoadOptions, NativeEngine } from './addon.ts';
import { cancelled, failureOf, type Failure } from './failure.ts';
import { runJob } from './job.ts';
import type { LoadedAddon } from './load.ts';
import { fail, succeed, type Result } from '../result.ts';
import type { SelfChecks } from './selfChecks.ts';
import { Tokenizer } from './tokenizer.ts';

/** What a loaded model depends on; a change of any of it needs another load. */
export type EngineOptions = Omit<LoadOptions, 'librariesPath'>;

export interface LoadedModel {
  /** What it was asked to be loaded with. */
  readonly options: EngineOptions;
  readonly native: NativeEngine;
  readonly tokenizer: Tokenizer;
  /** What an earlier load found, where this one relied on it. */
  readonly recalledCheck: CacheCheck | undefined;
}

/** Told about every load, in order: `progress`..., then `loaded` or `failed`; an abandoned load just ends. */
export interface LoadObserver {
  /** `fraction`: 0 to 1. */
  progress(fraction: number, options: EngineOptions): void;
  loaded(model: LoadedModel): void;
  failed(failure: Failure): void;
}

type Load = Promise<Result<LoadedModel, Failure>>;

const closed: Failure = { code: 'CLOSED', message: 'The engine is closed.' };

/** Owns the one loaded model: loads it when it is first needed, and again when its options change. */
export class Engine {
  readonly #loadAddon: () => Result<LoadedAddon, Failure>;
  readonly #observer: LoadObserver;
  readonly #selfChecks: SelfChecks;
  #options: EngineOptions;
  #load: { readonly abort: AbortController; readonly result: Load } | undefined;
  #closed = false;

  constructor(
    loadAddon: () => Result<LoadedAddon, Failure>,
    options: EngineOptions,
    observer: LoadObserver,
    selfChecks: SelfChecks,
  ) {
    this.#loadAddon = loadAddon;
    this.#options = options;
    this.#observer = observer;
    this.#selfChecks = selfChecks;
  }

  /**
   * The model, loaded by the first call. A failed load stays failed until the options change.
   * Aborting `signal` ends the wait with ABORTED and leaves the load running.
   */
  async model(signal: AbortSignal): Promise<Result<LoadedModel, Failure>> {
    if (this.#closed) return fail(closed);
    if (signal.aborted) return fail(cancelled);
    this.#load ??= this.#start();
    const { result } = this.#load;
    let stop = (): void => undefined;
    const aborted = new Promise<Result<LoadedModel, Failure>>((resolve) => {
      stop = () => {
        resolve(fail(cancelled));
      };
      signal.addEventListener('abort', stop, { once: true });
    });
    try {
      return await Promise.race([result, aborted]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Takes new options; what was loaded or loading with others is given up and loaded anew. */
  configure(options: EngineOptions): void {
    const same = JSON.stringify(options) === JSON.stringify(this.#options);
    this.#options = options;
    if (same || this.#load === undefined || this.#closed) return;
    const previous = this.#release();
    this.#load = this.#start(previous);
  }

  /** Frees the model; it is loaded again when it is needed. */
  async unload(): Promise<void> {
    await this.#release();
  }

  /** Aborts what runs and frees the model. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#release();
  }

  /** Ends the current load, finished or not; resolves when its memory is free. */
  async #release(): Promise<void> {
    const load = this.#load;
    this.#load = undefined;
    if (load === undefined) return;
    load.abort.abort();
    const outcome = await load.result;
    if (outcome.ok) await outcome.value.native.close();
  }

  /** `after`: the model before is freed first, so that two are never in memory at once. */
  #start(after: Promise<void> = Promise.resolve()): {
    readonly abort: AbortController;
    readonly result: Load;
  } {
    const abort = new AbortController();
    const result = this.#run(this.#options, abort.signal, after).then((outcome) => {
      if (!abort.signal.aborted) {
        if (outcome.ok) this.#observer.loaded(outcome.value);
        else this.#observer.failed(outcome.error);
      }
      return outcome;
    });
    return { abort, result };
  }

  async #run(options: EngineOptions, signal: AbortSignal, after: Promise<void>): Load {
    this.#observer.progress(0, options);
    try {
      await after;
      const library = this.#loadAddon();
      if (!library.ok) return library;
      const { addon, path: addonPath, librariesPath } = library.value;
      const checked = { modelPath: options.modelPath, addonPath, cache: options.cache };
      const recalled = options.selfCheck ? await this.#selfChecks.recall(checked) : undefined;
      const found = recalled === undefined ? {} : { cache: recalled.cache, selfCheck: false };
      const job = addon.load({ ...options, ...found, librariesPath }, (fraction) => {
        if (!signal.aborted) this.#observer.progress(fraction, options);
      });
      const native = await runJob(job, signal);
      const { check } = native.stats();
      if (check !== undefined) await this.#selfChecks.remember(checked, check);
      const tokenizer = await Tokenizer.create(native);
      return succeed({ options, native, tokenizer, recalledCheck: recalled?.check });
    } catch (error) {
      return fail(failureOf(error));
    }
  }
}
