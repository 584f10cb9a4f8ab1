/**
 * What the native addon (native/addon) offers, as TypeScript sees it. The addon is a plain
 * value that `loadAddon` brings in at run time; nothing else in the sidecar touches it.
 *
 * Every rejected promise carries an `AddonError`; every long call returns a `Job`.
 */
import type { CacheCheck, CacheTier } from '../protocol.ts';

/** Stable codes of `AddonError`; what each one asks of the user is in docs/errors.md. */
export type AddonErrorCode =
  | 'MODEL_NOT_FOUND'
  | 'MODEL_INVALID'
  | 'MODEL_UNSUPPORTED'
  | 'RELEASE_MISMATCH'
  | 'BACKEND_MISSING'
  | 'GPU_UNAVAILABLE'
  | 'GPU_FAILED'
  | 'CONTEXT_FULL'
  | 'CACHE_EXHAUSTED'
  | 'OUT_OF_MEMORY'
  | 'BAD_ARGUMENT'
  | 'ABORTED'
  | 'CLOSED'
  | 'SESSION_INVALID'
  | 'WRITE_FAILED'
  | 'ENGINE_FAILED';

/** What the addon rejects with. `message` says what happened and what to do. */
export interface AddonError extends Error {
  readonly code: AddonErrorCode;
}

/** Storage formats of cached elements; `int2` is for values only. */
export type CacheFormat = 'fp16' | 'fp8' | 'int8' | 'int4' | 'int2';

/** Formats of keys and values: `k8v4` has int8 keys and int4 values, `k4v2` int4 and int2; a pair sets them apart. */
export type CacheTierChoice =
  | 'fp16'
  | 'fp8'
  | 'int8'
  | 'k8v4'
  | 'int4'
  | 'k4v2'
  | { readonly k: CacheFormat; readonly v: CacheFormat };

/**
 * How our KV cache keeps the tokens between its sink (the first) and its window (the latest), which stay FP16.
 * Fields that a policy has no use for are ignored; native/cache/policy.h says what each one does.
 */
export interface CachePolicy {
  readonly policy:
    | 'full'
    | 'selective'
    | 'hierarchical'
    | 'compressed'
    /** By `cacheBudgetBytes`; 0 there: half of the memory that the model leaves. */
    | 'auto'
    | 'lowrank'
    | 'h2o'
    | 'attention'
    | 'importance';
  /** Tokens; default 16. */
  readonly sink?: number;
  /** Tokens; default 256 where the lowest tier has 8 bits, 896 below that. */
  readonly window?: number;
  /** Default int8. */
  readonly tier?: CacheTierChoice;
  /** hierarchical: the latest tokens that are FP16 or int8; default 4096. */
  readonly span?: number;
  /** h2o, importance: share of tokens kept; default 0.5. */
  readonly keep?: number;
  /** attention: tokens below this share of their block's mean are dropped; default 0.1. */
  readonly threshold?: number;
  /** importance: default 0.4, 0.3, 0.3. */
  readonly weights?: {
    readonly attention: number;
    readonly recency: number;
    readonly kind: number;
  };
  /** lowrank: rank of the keys, a multiple of 4; 0: the least that keeps the share `energy` (default 0.95). */
  readonly rank?: number;
  readonly energy?: number;
  /** Formats of single layers, in place of the policy's. */
  readonly layers?: readonly {
    readonly layer: number;
    readonly k?: CacheFormat;
    readonly v?: CacheFormat;
  }[];
}

/** llama.cpp's own cache, for comparison in tests and benchmarks. */
export interface StockCache {
  readonly policy: 'stock';
  readonly type: 'f16' | 'q8_0' | 'q4_0';
  readonly flashAttention: boolean;
}

export type CacheOptions = CachePolicy | StockCache;

export interface LoadOptions {
  /** Path of a GGUF file. */
  readonly modelPath: string;
  /** Folder of the prebuilt llama.cpp libraries; the CPU backends are loaded from it. */
  readonly librariesPath: string;
  /** Length of the context in tokens; 0: as trained. */
  readonly contextTokens: number;
  /** Threads of the CPU backend; 0: all physical cores but one, which stays with the editor. */
  readonly threads: number;
  /** Bound on the cache's bytes; 0: none. Exceeding it rejects with CACHE_EXHAUSTED. */
  readonly cacheBudgetBytes: number;
  readonly cache: CacheOptions;
  /**
   * Whether a cache that quantises is compared with an FP16 one over 512 tokens of code before the load resolves; where
   * it misses the bound, the bits are raised. Takes about two prefills of 512 tokens. See `CacheStats.check`.
   */
  readonly selfCheck: boolean;
  /** Where a GPU may be found for a cache of ours; absent: the CPU. */
  readonly gpu?: GpuSearch;
  /**
   * What `takeProfile` tells of: `steps`, at no cost, or besides their `operations`, which run one by one then and so
   * take longer. Absent: nothing.
   */
  readonly profile?: 'steps' | 'operations';
}

/** What running on a GPU takes besides NVIDIA's driver. */
export interface GpuSearch {
  /** Whether the load fails where there is none: with GPU_UNAVAILABLE. Else the CPU serves, see `ModelInfo.gpuReason`. */
  readonly required: boolean;
  /** Layers of the model, the last ones, that are on it; 0: as many as fit. The others are on the CPU. */
  readonly layers: number;
  /** ggml's CUDA backend, for major versions of CUDA: the first that the driver knows and the machine has is used. */
  readonly backends: readonly { readonly path: string; readonly cudaVersion: number }[];
  /** Folders that may have the libraries of the CUDA toolkit, in order. */
  readonly toolkitFolders: readonly string[];
}

/** A GPU as NVIDIA's driver describes it. */
export interface Gpu {
  readonly name: string;
  /** Compute capability, such as 8.6. */
  readonly capability: string;
  /** The newest CUDA that the driver knows. */
  readonly cuda: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** The driver compiled the kernels itself: the addon has none for this architecture. */
  readonly compilesKernels: boolean;
}

/** Token ids of the fill-in-the-middle markers, from GGUF metadata or token text; -1: the model has none. */
export interface FimTokens {
  readonly prefix: number;
  readonly suffix: number;
  readonly middle: number;
  readonly pad: number;
  readonly repository: number;
  readonly separator: number;
}

export interface ModelInfo {
  readonly architecture: string;
  readonly name: string;
  readonly fileBytes: number;
  readonly parameters: number;
  readonly layers: number;
  readonly vocabulary: number;
  /** Tokens the model was trained with. */
  readonly trainedTokens: number;
  /** Tokens the context holds. */
  readonly contextTokens: number;
  readonly fim: FimTokens;
  /** Token that a text starts with, or -1. */
  readonly bos: number;
  readonly addBos: boolean;
  /** How these tokens are written; empty where there is none. */
  readonly bosText: string;
  readonly eosText: string;
  /** Jinja; absent: the GGUF has none. */
  readonly chatTemplate?: string;
  /** Layers whose cache Sightline holds; the others keep llama.cpp's FP16 cache. */
  readonly ownedLayers: number;
  readonly threads: number;
  /** The attention kernels in use: `portable`, `avx2`, `avx512` ... or `cuda` */
  readonly kernels: string;
  /** The GPU that the model is on. */
  readonly gpu?: Gpu;
  /** Layers that are on it; the others are on the CPU. */
  readonly gpuLayers: number;
  /** Why a GPU that was searched for is not used. */
  readonly gpuReason?: string;
  readonly loadSeconds: number;
}

export interface CacheStats {
  readonly policy: CacheOptions['policy'];
  readonly tokens: number;
  readonly contextTokens: number;
  /** Bytes the pool has handed out, metadata and unfilled parts of blocks included. */
  readonly bytes: number;
  /** Bytes the pool has taken from the system. */
  readonly reservedBytes: number;
  /** What an FP16 cache of the same tokens takes. */
  readonly fp16Bytes: number;
  /** The bound on all sequences together; 0: none. */
  readonly budgetBytes: number;
  /** All sequences, the one in use last; what is said of tokens, bytes and tiers is of that one. */
  readonly sequences: readonly {
    readonly sequence: number;
    readonly tokens: number;
    readonly bytes: number;
  }[];
  /** Bytes that are counted in more than one of them. */
  readonly sharedBytes: number;
  /** Tokens that queries no longer see, the mean over layers. */
  readonly droppedTokens: number;
  /** Tokens of the window that were decoded again from a coded block. */
  readonly degradedTokens: number;
  /**
   * Layers whose key bias is more than 8 times as long as the median one: their keys are kept in int8 or FP16
   * whatever tier is asked for.
   */
  readonly biasedLayers: readonly number[];
  /** Absent where no self-check was asked for or the cache does not quantise. */
  readonly check?: CacheCheck;
  readonly tiers: readonly CacheTier[];
}

/** A running call. `abort` makes `result` reject with ABORTED within one decode step or one graph node. */
export interface Job<T> {
  readonly result: Promise<T>;
  abort(): void;
}

/** A running completion. */
export interface CompleteJob extends Job<CompleteResult> {
  /**
   * Makes `result` resolve with what there is, within one decode step. Called before the prompt is evaluated, the whole
   * prompt is, and no token is generated.
   */
  finish(): void;
}

export interface Sampling {
  /** 0: greedy. */
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
}

export interface CompleteRequest {
  /** The whole prompt. The part the cache already holds as a prefix is not evaluated again. */
  readonly tokens: Int32Array;
  /** 0: the cache is to hold the prompt, and that is all. */
  readonly maxTokens: number;
  /**
   * Tokens at the start that later prompts have as well: going back to there, or to anything behind it, evaluates nothing
   * again. Absent: the whole prompt.
   */
  readonly sharedTokens?: number;
  /**
   * Whether tokens are drafted by prompt lookup and several verified in one step: the same tokens, sooner. Default true.
   * How many pay is found out by the first request with `maxTokens` 0; until then there are none.
   */
  readonly speculate?: boolean;
  /**
   * Of the model's sequences, by number; default 0. What another one has of the prompt's start is shared with it. Where
   * memory lacks for one, others are dropped, the one used longest ago first.
   */
  readonly sequence?: number;
  readonly sampling: Sampling;
  /** Generation ends before any of these tokens, besides the model's own end tokens. */
  readonly stopTokens: Int32Array;
}

export type CompleteEvent =
  | { readonly kind: 'prefill'; readonly done: number; readonly total: number }
  /** Whole UTF-8 characters only: a character split over tokens arrives with its last token. */
  | { readonly kind: 'text'; readonly text: string };

export interface CompleteResult {
  readonly text: string;
  readonly tokens: Int32Array;
  /** `stopped`: by `CompleteJob.finish`. */
  readonly finish: 'end' | 'length' | 'context' | 'stopped';
  /** Prompt tokens taken from the cache. */
  readonly reusedTokens: number;
  /** Prompt tokens evaluated. */
  readonly prefilledTokens: number;
  /** Tokens verified in one step with the token before them. */
  readonly draftedTokens: number;
  /** Of these the ones that were generated. */
  readonly acceptedTokens: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/** How the predictions of two sequences with the same tokens differ, token by token; in nats. */
export interface Comparison {
  /** KL(reference || other). */
  readonly divergences: Float32Array;
  /** -log p of the token that follows. */
  readonly losses: Float32Array;
  readonly referenceLosses: Float32Array;
  /** Tokens after which both find the same one the likeliest. */
  readonly sameTop: number;
}

/** What a sequence takes with a policy, in bytes. */
export interface Forecast {
  readonly policy: CachePolicy['policy'];
  /** For each length asked for. */
  readonly bytes: readonly number[];
}

/** What `saveSession` wrote, or `restoreSession` read. */
export interface Session {
  readonly tokens: number;
  readonly bytes: number;
}

/** An operation of a model's graph, as all its runs have it in common. */
export interface Operation {
  /** ggml's, such as MUL_MAT, or one of ours: APPEND writes keys or values, CODE brings blocks to another tier, ATTEND is attention. */
  readonly name: string;
  /** The name of its weights or of its result, without the layer: `ffn_gate`; empty where llama.cpp has none. */
  readonly role: string;
  readonly layer?: number;
  /** Types and sizes of what it reads and gives. */
  readonly shape: string;
  /** That it ran on: `CPU`, `CUDA0` ... */
  readonly device: string;
  /** Of ours: `avx2`, `avx512vnni`, `portable`, `cuda` ... */
  readonly kernel?: string;
  /** Of ours, the tiers read or written: `fp16+int8`, or `fp16>int8` where one becomes the other. */
  readonly tiers?: string;
}

/** A run of an operation. Microseconds since the model was loaded. */
export interface OperationEvent {
  /** Which of `Profile.operations`, and in which of `Profile.steps`. */
  readonly operation: number;
  readonly step: number;
  readonly start: number;
  readonly duration: number;
  readonly flops: number;
  /** Read and written, everything once. */
  readonly bytes: number;
  /** Of these, of our cache by tier. */
  readonly cacheBytes?: Readonly<Record<string, number>>;
}

/** A batch of tokens. Microseconds. */
export interface ProfiledStep {
  /** Position of its first token. */
  readonly first: number;
  readonly tokens: number;
  readonly start: number;
  readonly duration: number;
  /** What the cache holds afterwards, as in `CacheStats`. */
  readonly tiers: readonly CacheTier[];
  readonly fp16Bytes: number;
}

export interface Profile {
  readonly operations: readonly Operation[];
  readonly events: readonly OperationEvent[];
  readonly steps: readonly ProfiledStep[];
  /** Steps that there was no room for. */
  readonly lostSteps: number;
}

/** One loaded model with one context. Calls queue up on its engine thread in the order made. */
export interface NativeEngine {
  readonly info: ModelInfo;
  /** `special`: markers such as `<|fim_prefix|>` in the text become their tokens. */
  tokenize(text: string, special: boolean): Promise<Int32Array>;
  detokenize(tokens: Int32Array): Promise<string>;
  complete(request: CompleteRequest, onEvent: (event: CompleteEvent) => void): CompleteJob;
  /** Appends tokens to a sequence. Resolves to logits, row-major [rows, vocabulary]: of every token or of the last. */
  evaluate(tokens: Int32Array, logits: 'all' | 'last', sequence?: number): Job<Float32Array>;
  /** Appends the same tokens to two sequences; `next[i]` is the token that follows `tokens[i]`. */
  compare(
    tokens: Int32Array,
    next: Int32Array,
    sequence: number,
    reference: number,
  ): Job<Comparison>;
  /** Empties a sequence; from here on it has this policy. Rejects with MODEL_UNSUPPORTED where part of the cache is llama.cpp's own. */
  beginSequence(sequence: number, cache: CachePolicy): Promise<void>;
  /** Frees what a sequence holds; it has the model's policy when it is used again. */
  dropSequence(sequence: number): Promise<void>;
  /** For `full`, `selective`, `compressed` and the policy in use; nothing where the cache is llama.cpp's own. */
  forecast(lengths: Int32Array): Forecast[];
  /**
   * Of sequence 0, keeps the first `tokens` tokens, or fewer where the cut falls inside a quantised block: resolves to how many
   * are left (at most 127 fewer), from where the caller evaluates again. With `reopen` what is left of the block is
   * decoded into FP16 instead and counted as degraded; no token is lost but where the block had dropped some.
   */
  truncate(tokens: number, rollback?: 'exact' | 'reopen'): Promise<number>;
  stats(): CacheStats;
  /**
   * The most bytes of the cache from here on; 0: no bound. What is held above it stays until prompts are shorter: steps
   * reject with CACHE_EXHAUSTED before that.
   */
  setCacheBudget(bytes: number): Promise<void>;
  /**
   * Writes the tokens and the cache of sequence 0 to a file, whole or not at all: rejects with WRITE_FAILED where there is no room for
   * it, with MODEL_UNSUPPORTED where part of the cache is llama.cpp's own.
   */
  saveSession(path: string): Promise<Session>;
  /**
   * Takes a file over in place of what sequence 0 holds; no token of it is evaluated again. Rejects with SESSION_INVALID
   * where the file is damaged, of another model, of another cache policy or of a newer version; the cache is empty then.
   */
  restoreSession(path: string): Promise<Session>;
  /**
   * What was recorded since the last call, of steps that ran to their end. Rejects with BAD_ARGUMENT where the model was
   * not loaded with `profile`.
   */
  takeProfile(): Promise<Profile>;
  /** Aborts what runs, frees everything. Later calls reject with CLOSED. */
  close(): Promise<void>;
}

export interface Addon {
  /** llama.cpp release the addon was built for, and the one it is running with. */
  readonly release: { readonly built: string; readonly loaded: string };
  /** The first GPU, whether or not models can run on it. Rejects with GPU_UNAVAILABLE where there is none. */
  gpu(): Promise<Gpu>;
  /** `onProgress` gets the loaded fraction, 0 to 1. Aborting the job abandons the load. */
  load(options: LoadOptions, onProgress: (fraction: number) => void): Job<NativeEngine>;
}
