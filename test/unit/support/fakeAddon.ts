import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type {
  Addon,
  AddonErrorCode,
  CacheStats,
  Comparison,
  CompleteEvent,
  CompleteJob,
  CompleteRequest,
  CompleteResult,
  Forecast,
  Job,
  LoadOptions,
  Gpu,
  ModelInfo,
  NativeEngine,
  Session,
} from '../../../sidecar/engine/addon.ts';
import { Engine, type LoadedModel } from '../../../sidecar/engine/engine.ts';
import type { LoadedAddon } from '../../../sidecar/engine/load.ts';
import { SelfChecks } from '../../../sidecar/engine/selfChecks.ts';
import { commonPrefix } from '../../../sidecar/engine/tokens.ts';
import { succeed } from '../../../sidecar/result.ts';

/** Ids below 256 are the bytes of UTF-8: one token per byte, so that counts are easy to foresee. */
export const markers = {
  prefix: 256,
  suffix: 257,
  middle: 258,
  pad: 259,
  repository: 260,
  separator: 261,
} as const;
export const noMarkers = {
  prefix: -1,
  suffix: -1,
  middle: -1,
  pad: -1,
  repository: -1,
  separator: -1,
} as const;

export class FakeError extends Error {
  readonly code: AddonErrorCode;

  constructor(code: AddonErrorCode, message: string = code) {
    super(message);
    this.code = code;
  }
}

/** A promise with its handles outside. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    opened,
    open: () => {
      open();
    },
  };
}

function job<T>(run: (aborted: Promise<never>) => Promise<T>): Job<T> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      reject(new FakeError('ABORTED'));
    };
  });
  aborted.catch(() => undefined);
  return {
    result: Promise.race([run(aborted), aborted]),
    abort: () => {
      abort();
    },
  };
}

export interface FakeOptions {
  readonly info?: Partial<ModelInfo>;
  /** What the model generates, piece by piece. */
  readonly answer?: readonly string[];
  /** Every load waits for it. */
  readonly loadGate?: Gate;
  /** Every completion waits for it after its first piece. */
  readonly answerGate?: Gate;
  readonly loadError?: FakeError;
  /** What the machine has. */
  readonly gpu?: Gpu;
  readonly completeError?: FakeError;
  /** Holds comparisons of caches back. */
  readonly compareGate?: Gate;
  /** Longer prompts exhaust the cache. */
  readonly mostTokens?: number;
  readonly saveError?: FakeError;
  readonly restoreError?: FakeError;
  /** Every restore waits for it. */
  readonly restoreGate?: Gate;
  /** In place of what the cache says of itself; `check` only where one is asked for. */
  readonly stats?: Partial<CacheStats>;
  /** As SentencePiece does: a token before every text. */
  readonly spaceBefore?: boolean;
}

/** A double of the native addon that records what it is asked. */
export class FakeAddon implements Addon {
  readonly release = { built: 'v1', loaded: 'v1' };
  readonly loads: LoadOptions[] = [];
  readonly engines: FakeEngine[] = [];
  options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.options = options;
  }

  /** As `loadAddon` gives it. */
  get loaded(): LoadedAddon {
    const path = fileURLToPath(import.meta.url);
    return { addon: this, path, librariesPath: '/libraries', release: this.release.loaded };
  }

  gpu(): Promise<Gpu> {
    const { gpu } = this.options;
    return gpu === undefined
      ? Promise.reject(new FakeError('GPU_UNAVAILABLE'))
      : Promise.resolve(gpu);
  }

  load(options: LoadOptions, onProgress: (fraction: number) => void): Job<NativeEngine> {
    this.loads.push(options);
    return job(async () => {
      onProgress(0.5);
      await this.options.loadGate?.opened;
      if (this.options.loadError !== undefined) throw this.options.loadError;
      const engine = new FakeEngine(this, options);
      this.engines.push(engine);
      return engine;
    });
  }
}

export class FakeEngine implements NativeEngine {
  readonly info: ModelInfo;
  readonly requests: CompleteRequest[] = [];
  /** Tokens of each request that were in the cache. */
  readonly reused: number[] = [];
  readonly tokenized: string[] = [];
  /** Texts whose markers become their tokens. */
  readonly marked: string[] = [];
  readonly budgets: number[] = [];
  readonly compared: Int32Array[] = [];
  readonly begun: number[] = [];
  readonly dropped: number[] = [];
  readonly #addon: FakeAddon;
  readonly #selfCheck: boolean;
  #cached: Int32Array = new Int32Array();
  #generated = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** Paths of session files. */
  readonly saved: string[] = [];
  readonly restored: string[] = [];
  closed = false;
  aborted = 0;

  constructor(addon: FakeAddon, options: LoadOptions) {
    this.#addon = addon;
    this.#selfCheck = options.selfCheck;
    this.info = {
      architecture: 'fake',
      name: 'Fake',
      fileBytes: 1,
      parameters: 1_000_000,
      layers: 1,
      vocabulary: 262,
      trainedTokens: 4096,
      contextTokens: options.contextTokens === 0 ? 4096 : options.contextTokens,
      fim: markers,
      bos: -1,
      addBos: false,
      bosText: '',
      eosText: '<eos>',
      ownedLayers: 1,
      threads: 1,
      kernels: 'fake',
      gpuLayers: 0,
      loadSeconds: 0.5,
      ...addon.options.info,
    };
  }

  tokenize(text: string, special: boolean): Promise<Int32Array> {
    (special ? this.marked : this.tokenized).push(text);
    const bytes = Buffer.from(text);
    return Promise.resolve(
      Int32Array.from(this.#addon.options.spaceBefore === true ? [32, ...bytes] : bytes),
    );
  }

  detokenize(tokens: Int32Array): Promise<string> {
    return Promise.resolve(Buffer.from(tokens.filter((token) => token < 256)).toString());
  }

  complete(request: CompleteRequest, onEvent: (event: CompleteEvent) => void): CompleteJob {
    this.requests.push(request);
    const {
      answer = ['answer'],
      answerGate,
      completeError,
      mostTokens = Infinity,
    } = this.#addon.options;
    const finishing = gate();
    let finished = false;
    const running = job(async (aborted): Promise<CompleteResult> => {
      await Promise.resolve();
      if (completeError !== undefined) throw completeError;
      if (request.tokens.length > mostTokens) throw new FakeError('CACHE_EXHAUSTED');
      const reusedTokens = commonPrefix(this.#cached, request.tokens);
      this.reused.push(reusedTokens);
      this.#cached = request.tokens;
      this.#generated = 0;
      const total = request.tokens.length;
      onEvent({ kind: 'prefill', done: total - reusedTokens, total: total - reusedTokens });
      const told: string[] = [];
      for (const text of request.maxTokens === 0 ? [] : answer) {
        if (finished) break;
        told.push(text);
        this.#generated += Buffer.byteLength(text);
        onEvent({ kind: 'text', text });
        if (answerGate !== undefined)
          await Promise.race([answerGate.opened, finishing.opened, aborted]);
      }
      const text = told.join('');
      return {
        text,
        tokens: Int32Array.from(Buffer.from(text)),
        finish: finished ? 'stopped' : 'end',
        reusedTokens,
        prefilledTokens: total - reusedTokens,
        draftedTokens: 0,
        acceptedTokens: 0,
        prefillSeconds: 0.25,
        decodeSeconds: 0.5,
      };
    });
    return {
      result: running.result,
      abort: () => {
        this.aborted++;
        running.abort();
      },
      finish: () => {
        finished = true;
        finishing.open();
      },
    };
  }

  setCacheBudget(bytes: number): Promise<void> {
    this.budgets.push(bytes);
    return Promise.resolve();
  }

  evaluate(): Job<Float32Array> {
    throw new Error('not used by the sidecar');
  }

  /** The other cache finds every token but the last one as likely as the reference does. */
  compare(tokens: Int32Array): Job<Comparison> {
    this.compared.push(tokens);
    const { compareGate } = this.#addon.options;
    return job(async (aborted) => {
      await Promise.race([compareGate?.opened, aborted]);
      return {
        divergences: new Float32Array(tokens.length).fill(0.01),
        losses: new Float32Array(tokens.length).fill(2),
        referenceLosses: new Float32Array(tokens.length).fill(1.5),
        sameTop: tokens.length - 1,
      };
    });
  }

  beginSequence(sequence: number): Promise<void> {
    this.begun.push(sequence);
    return Promise.resolve();
  }

  dropSequence(sequence: number): Promise<void> {
    if (this.closed) return Promise.reject(new FakeError('CLOSED'));
    this.dropped.push(sequence);
    if (sequence === 0) this.#cached = new Int32Array();
    return Promise.resolve();
  }

  forecast(lengths: Int32Array): Forecast[] {
    if (this.closed) throw new FakeError('CLOSED');
    const bytes = (per: number): number[] => [...lengths].map((length) => length * per);
    return [
      { policy: 'full', bytes: bytes(16) },
      { policy: 'selective', bytes: bytes(8) },
    ];
  }

  truncate(tokens: number): Promise<number> {
    return this.#queued(() => {
      this.#cached = this.#cached.subarray(0, tokens);
      this.#generated = 0;
      return Promise.resolve(this.#cached.length);
    });
  }

  takeProfile(): Promise<never> {
    return Promise.reject(new FakeError('BAD_ARGUMENT'));
  }

  saveSession(path: string): Promise<Session> {
    return this.#queued(async () => {
      const { saveError } = this.#addon.options;
      this.saved.push(path);
      if (saveError !== undefined) throw saveError;
      await writeFile(path, JSON.stringify([...this.#cached]), { mode: 0o600 });
      return this.#session;
    });
  }

  restoreSession(path: string): Promise<Session> {
    return this.#queued(async () => {
      const { restoreError, restoreGate } = this.#addon.options;
      this.restored.push(path);
      await restoreGate?.opened;
      if (restoreError !== undefined) throw restoreError;
      this.#cached = new Int32Array();
      try {
        this.#cached = Int32Array.from(JSON.parse(await readFile(path, 'utf8')) as number[]);
      } catch {
        throw new FakeError('SESSION_INVALID');
      }
      return this.#session;
    });
  }

  get #session(): Session {
    return { tokens: this.#cached.length, bytes: this.#cached.length * 8 };
  }

  /** One call after the other, as on the engine's thread. */
  #queued<T>(run: () => Promise<T>): Promise<T> {
    const outcome = this.#turn.then(run);
    this.#turn = outcome.catch(() => undefined);
    return outcome;
  }

  stats(): CacheStats {
    if (this.closed) throw new FakeError('CLOSED');
    const tokens = this.#cached.length + this.#generated;
    const { check, ...others } = this.#addon.options.stats ?? {};
    const stats = {
      policy: 'selective' as const,
      tokens,
      contextTokens: this.info.contextTokens,
      bytes: tokens * 8,
      reservedBytes: tokens * 8,
      fp16Bytes: tokens * 16,
      budgetBytes: 0,
      sharedBytes: 0,
      tiers: [{ name: 'int8', tokens, bytes: tokens * 8 }],
      droppedTokens: 0,
      degradedTokens: 0,
      biasedLayers: [],
      ...others,
    };
    return {
      ...stats,
      sequences: [{ sequence: 0, tokens: stats.tokens, bytes: stats.bytes }],
      ...(check === undefined || !this.#selfCheck ? {} : { check }),
    };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** A fake model, loaded as the sidecar loads one. */
export async function loadFake(
  options: FakeOptions = {},
  contextTokens = 0,
): Promise<{ model: LoadedModel; native: FakeEngine; addon: FakeAddon }> {
  const addon = new FakeAddon(options);
  const engine = new Engine(
    () => succeed(addon.loaded),
    {
      modelPath: '/m.gguf',
      contextTokens,
      threads: 0,
      cacheBudgetBytes: 0,
      cache: { policy: 'full' },
      selfCheck: false,
    },
    { progress: () => undefined, loaded: () => undefined, failed: () => undefined },
    new SelfChecks('/nowhere'),
  );
  const model = await engine.model(new AbortController().signal);
  const native = addon.engines[0];
  assert.ok(model.ok && native !== undefined);
  return { model: model.value, native, addon };
}
