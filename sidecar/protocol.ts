/**
 * The custom messages between the extension and the sidecar, and the shapes they carry.
 * Everything else between them is the Language Server Protocol 3.18. Described message by
 * message in docs/protocol.md; a test holds the two together.
 */
import { NotificationType, RequestType, RequestType0 } from 'vscode-jsonrpc';

/** `initializationOptions` of `initialize`, and `settings.sightline` of `workspace/didChangeConfiguration`. */
export interface SightlineSettings {
  readonly enable: boolean;
  readonly model: {
    /** Path of a GGUF file; empty: the bundled model. */
    readonly path: string;
    /** Length of the context in tokens; 0: as the model was trained. */
    readonly contextTokens: number;
  };
  /** A policy ignores what it has no use for; docs/protocol.md says which uses what. */
  readonly cache: {
    readonly policy: CachePolicyName;
    /** What older tokens are held in. */
    readonly tier: 'int8' | 'fp8' | 'k8v4' | 'int4' | 'k4v2';
    readonly sink: number;
    /** 0: 256 where the lowest tier has 8 bits, 896 below that. */
    readonly window: number;
    readonly span: number;
    readonly keep: number;
    readonly weights: {
      readonly attention: number;
      readonly recency: number;
      readonly kind: number;
    };
    /** 0: no bound; policy auto: half of the memory that the model leaves. */
    readonly budgetMiB: number;
    readonly selfCheck: boolean;
    /** Whether what is in the cache of open files outlives the sidecar. */
    readonly keepOnDisk: boolean;
  };
  readonly gpu: {
    /** auto: a GPU where one can be used, and the CPU otherwise. required: without one nothing is loaded. */
    readonly use: 'auto' | 'required' | 'off';
    /** Layers of the model, the last ones, that are on the GPU; 0: as many as fit. The others are on the CPU. */
    readonly layers: number;
    /** Folder of the CUDA toolkit's libraries, searched before the usual ones; empty: only those. */
    readonly cudaPath: string;
  };
  /** 0: all physical cores but one. */
  readonly threads: number;
  readonly completion: { readonly maxTokens: number };
  readonly context: {
    /** Files that prompts start with, whether they are open or not: absolute paths, or paths in a folder that is open. */
    readonly pinned: readonly string[];
    /** Whether files that the one in use imports, or that define names at the cursor, are looked for. */
    readonly related: boolean;
  };
}

/** How the cache keeps tokens. */
export type CachePolicyName =
  | 'auto'
  | 'selective'
  | 'full'
  | 'hierarchical'
  | 'compressed'
  | 'h2o'
  | 'attention'
  | 'importance'
  | 'lowrank';

/** One row of the cache's account. Rows add up to `CacheStats.bytes`. */
export interface CacheTier {
  /** `sink`, `window`, `passthrough` (llama.cpp's own FP16 cache), or a tier: `int8`, `k8v4`, `int4`, ... */
  readonly name: string;
  readonly tokens: number;
  readonly bytes: number;
}

/** What the self-check at load found. */
export interface CacheCheck {
  /** The tier asked for and the one in use, as `CacheTier.name`: higher where the one asked for missed the bound. */
  readonly asked: string;
  readonly tier: string;
  /** Mean Kullback-Leibler divergence from an FP16 cache in nats, with the tier in use, and the most it may be. */
  readonly divergence: number;
  readonly bound: number;
  /** Share of positions where both caches find the same token the likeliest. */
  readonly sameTop: number;
}

/** Why a file is among those that prompts start with. */
export type FileSource =
  | 'open'
  | 'pinned'
  /** It defines what stands near the cursor. */
  | 'definition'
  /** The file in use imports it. */
  | 'import';

/** A file that prompts start with, or as much of it as is in the cache so far. */
export interface FileInSight {
  readonly uri: string;
  readonly source: FileSource;
  readonly tokens: number;
  readonly documentTokens: number;
}

/** A file that was considered and that no prompt starts with. */
export interface FileLeftOut {
  readonly uri: string;
  /**
   * room: the context holds no more. duplicate: another file says nearly the same. ignored: by an ignore file. secret: by
   * its name. binary: it holds NUL characters. size: longer than 512 KiB, and not open. missing: it cannot be read.
   * outside: it is in none of the folders that are open.
   */
  readonly reason:
    'room' | 'duplicate' | 'ignored' | 'secret' | 'binary' | 'size' | 'missing' | 'outside';
}

/** A place in a document, as LSP counts. */
export interface DocumentPlace {
  readonly uri: string;
  readonly line: number;
  readonly character: number;
}

/** Where a name is defined. */
export interface Definition {
  readonly uri: string;
  readonly line: number;
}

/** What the model sees; counts are tokens of the model. */
export interface ContextInSight {
  readonly uri: string;
  readonly documentTokens: number;
  /** The lines before and after the cursor. */
  readonly prefixTokens: number;
  readonly suffixTokens: number;
  /** Tokens of the document before and after these lines. The model may see them as one of `files`. */
  readonly omittedBefore: number;
  readonly omittedAfter: number;
  /** Files as they were settled, in the order that the model sees them. */
  readonly files: readonly FileInSight[];
  /** Files that are not among them, the most important first. */
  readonly leftOut: readonly FileLeftOut[];
}

/** Memory and contents of the cache. */
export interface CacheStats {
  readonly policy: CachePolicyName;
  readonly tokens: number;
  readonly contextTokens: number;
  readonly bytes: number;
  readonly reservedBytes: number;
  readonly fp16Bytes: number;
  readonly tiers: readonly CacheTier[];
  /** Tokens that queries no longer see, the mean over layers. */
  readonly droppedTokens: number;
  /** Tokens of the window that were decoded again from a quantised block. */
  readonly degradedTokens: number;
  /** Layers with outlying key biases: their keys are int8 or FP16 whatever tier is asked for. */
  readonly biasedLayers: readonly number[];
  /** Of this load, or of an earlier one with the same model and cache; absent where nothing was checked. */
  readonly check?: CacheCheck;
  /** Absent until a completion was asked for. */
  readonly inSight?: ContextInSight;
  /** Tokens per second of the latest completion; absent until there is one. */
  readonly prefillTokensPerSecond?: number;
  readonly decodeTokensPerSecond?: number;
}

/** What the sidecar is doing. `error` and `warning` messages say what to do. */
export type SidecarStatus =
  | { readonly state: 'loading'; readonly fraction: number; readonly message: string }
  | { readonly state: 'ready'; readonly message: string }
  | { readonly state: 'generating'; readonly message: string }
  | { readonly state: 'warning'; readonly message: string }
  | { readonly state: 'error'; readonly message: string };

/** sidecar -> client, after every load, with every piece of text, after every completion, and while files are put into the cache. */
export const CacheStatsNotification = new NotificationType<CacheStats>('sightline/cacheStats');

/** sidecar -> client, at every change of state. */
export const StatusNotification = new NotificationType<SidecarStatus>('sightline/status');

/**
 * client -> sidecar: downloads what running on a GPU takes and Sightline does not bring, about 80 MB. The result is a sentence for
 * people; after it the sidecar is to be started anew. Where it fails the error's message says what to do. Cancelling leaves
 * nothing behind; with a `workDoneToken` the client is told how far it is.
 */
export const InstallGpuRuntimeRequest = new RequestType<
  { readonly workDoneToken?: string | number },
  string,
  void
>('sightline/installGpuRuntime');

/** client -> sidecar: what the model saw for the latest completion, as Markdown for people; null before there was one. */
export const ContextRequest = new RequestType0<string | null, void>('sightline/getContext');

/**
 * sidecar -> client: where the names around a place in a document are defined, the nearest first; what is not known within
 * half a second is left out. Asked only of clients that announce the capability `experimental.sightline.definitions`.
 */
export const DefinitionsRequest = new RequestType<DocumentPlace, readonly Definition[], void>(
  'sightline/findDefinitions',
);

/** client -> sidecar: the user looks at these lines of a document. */
export const ViewNotification = new NotificationType<{
  readonly uri: string;
  readonly firstLine: number;
  readonly lastLine: number;
}>('sightline/didView');

/** client -> sidecar: what there is and what is used, as Markdown, to be looked at or sent with a report. */
export const DiagnoseRequest = new RequestType0<string, void>('sightline/diagnose');

/** client -> sidecar: the latest statistics, or null before a model is loaded. */
export const CacheStatsRequest = new RequestType0<CacheStats | null, void>(
  'sightline/getCacheStats',
);
