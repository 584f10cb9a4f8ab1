/**
 * The custom messages between the extension and the sidecar, and the shapes they carry.
 * Everything else between them is the Language Server Protocol 3.18. Described message by
 * message in docs/protocol.md; a test holds the two together.
 */
import { NotificationType, RequestType0 } from 'vscode-jsonrpc';

/** `initializationOptions` of `initialize`, and `settings.sightline` of `workspace/didChangeConfiguration`. */
export interface SightlineSettings {
  readonly enable: boolean;
  readonly model: {
    /** Path of a GGUF file; empty: the bundled model. */
    readonly path: string;
    /** Length of the context in tokens; 0: as the model was trained. */
    readonly contextTokens: number;
  };
  readonly cache: {
    readonly policy: 'full' | 'selective';
    readonly sink: number;
    readonly window: number;
  };
  /** 0: all physical cores but one. */
  readonly threads: number;
  readonly completion: { readonly maxTokens: number };
}

/** One row of the cache's account. Rows add up to `CacheStats.bytes`. */
export interface CacheTier {
  /** `sink`, `window`, `passthrough` (llama.cpp's own FP16 cache), or a tier: `int8`, `k8v4`, `int4`, ... */
  readonly name: string;
  readonly tokens: number;
  readonly bytes: number;
}

/** Which part of the document the model sees; counts are tokens of the model. */
export interface ContextInSight {
  readonly uri: string;
  readonly documentTokens: number;
  readonly prefixTokens: number;
  readonly suffixTokens: number;
  /** Tokens left out at the start and at the end of the document. */
  readonly omittedBefore: number;
  readonly omittedAfter: number;
}

/** Memory and contents of the cache. */
export interface CacheStats {
  readonly policy: 'full' | 'selective';
  readonly tokens: number;
  readonly contextTokens: number;
  readonly bytes: number;
  readonly reservedBytes: number;
  readonly fp16Bytes: number;
  readonly tiers: readonly CacheTier[];
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

/** sidecar -> client, after every completion, load and truncation. */
export const CacheStatsNotification = new NotificationType<CacheStats>('sightline/cacheStats');

/** sidecar -> client, at every change of state. */
export const StatusNotification = new NotificationType<SidecarStatus>('sightline/status');

/** client -> sidecar: the latest statistics, or null before a model is loaded. */
export const CacheStatsRequest = new RequestType0<CacheStats | null, void>(
  'sightline/getCacheStats',
);
