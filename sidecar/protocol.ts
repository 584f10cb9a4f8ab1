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
    /** By the name of a model's file: what goes before the other settings while it is the one in use. */
    readonly overrides: Readonly<Record<string, ModelOverrides>>;
  };
  /** A policy ignores what it has no use for; docs/protocol.md says which uses what. */
  readonly cache: {
    /** What `policy` and `tier` are where they are left out. */
    readonly profile: CacheProfileName;
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
  /** A team's server, with the interface of OpenAI's, that is asked in place of a model on this machine. */
  readonly server: {
    /** Empty: none is. */
    readonly url: string;
    /** As the server calls it. */
    readonly model: string;
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
  /** Experimental: whether, after an edit that renames or changes a signature, the next place to change is looked for. */
  readonly nextEdit: { readonly enable: boolean };
}

/** Settings of one model. */
export interface ModelOverrides {
  readonly contextTokens?: number | undefined;
  readonly policy?: CachePolicyName | undefined;
  readonly tier?: SightlineSettings['cache']['tier'] | undefined;
  readonly budgetMiB?: number | undefined;
  readonly gpuLayers?: number | undefined;
}

/** `data` of an error that a request fails with. */
export interface RequestFailure {
  /** Of docs/errors.md. */
  readonly code: string;
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

/** Trades of memory for quality, the most memory first. */
export const cacheProfileNames = ['quality', 'balanced', 'small'] as const;
export type CacheProfileName = (typeof cacheProfileNames)[number];

/** The settings of the cache that each stands for. */
export const cacheProfiles: Readonly<
  Record<CacheProfileName, Pick<SightlineSettings['cache'], 'policy' | 'tier'>>
> = {
  quality: { policy: 'full', tier: 'int8' },
  balanced: { policy: 'selective', tier: 'int8' },
  small: { policy: 'selective', tier: 'int4' },
};

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

/** A place in a text, as LSP counts. */
export interface TextPlace {
  readonly line: number;
  readonly character: number;
}

/** A place in a document. */
export interface DocumentPlace extends TextPlace {
  readonly uri: string;
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

/** One of the sequences that the model has in its cache, and what it costs. */
export interface CacheSequence {
  readonly name: 'completion' | 'chat';
  readonly tokens: number;
  readonly bytes: number;
  /** Of `bytes`, what other sequences hold as well. */
  readonly sharedBytes: number;
}

/** Memory and contents of the cache. All but `sequences` is of the sequence that was used last. */
export interface CacheStats {
  readonly policy: CachePolicyName;
  readonly tokens: number;
  readonly contextTokens: number;
  readonly bytes: number;
  readonly reservedBytes: number;
  readonly fp16Bytes: number;
  /** The most that all sequences may take; 0: no bound. */
  readonly budgetBytes: number;
  readonly sequences: readonly CacheSequence[];
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
 * people; after it the sidecar is to be started anew. Where it fails the error's message says what to do. Cancelling keeps
 * what has arrived for the next time; with a `workDoneToken` the client is told how far it is.
 */
export const InstallGpuRuntimeRequest = new RequestType<
  { readonly workDoneToken?: string | number },
  string,
  RequestFailure
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

/** What an edit follows from: a name that was changed, or the parameters of a function. */
export type NextEditReason =
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'signature'; readonly function: string };

/** Where the user's latest edit asks for another one. */
export interface NextEdit {
  readonly range: { readonly start: TextPlace; readonly end: TextPlace };
  /** In its place; of one line. */
  readonly newText: string;
  readonly why: NextEditReason;
}

/**
 * client -> sidecar: the next edit from the cursor on, in a document as it is at a version; null where there is none, where
 * the document is at another version, and where the settings have it off. Cancelled by a change of the document too.
 */
export const NextEditRequest = new RequestType<
  DocumentPlace & { readonly version: number },
  NextEdit | null,
  RequestFailure
>('sightline/nextEdit');

/** client -> sidecar: the user looks at these lines of a document. */
export const ViewNotification = new NotificationType<{
  readonly uri: string;
  readonly firstLine: number;
  readonly lastLine: number;
}>('sightline/didView');

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** Of an assistant: what it called. */
  readonly toolCalls?: readonly ToolCall[];
  /** Of a tool: the call that `content` is the result of. */
  readonly toolCallId?: string;
}

/** A tool that the model may call. */
export interface ChatTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its arguments. */
  readonly parameters?: object;
}

/** A file that a conversation is about, or lines of it, from 0 and inclusive. */
export interface ChatAttachment {
  readonly uri: string;
  readonly lines?: { readonly first: number; readonly last: number };
}

export interface ChatParams {
  /** Chosen by the client; what is told of the answer carries it. */
  readonly id: string;
  /** The conversation, the oldest message first; the last is to be answered. */
  readonly messages: readonly ChatMessage[];
  /** The most important first. */
  readonly attachments: readonly ChatAttachment[];
  /** The document in use: it and the other files that completions see come before the conversation. Absent: no files but the attachments. */
  readonly uri?: string;
  /** A document that the messages quote: where no model is to see it, nothing is answered. */
  readonly quoted?: string;
  readonly tools?: readonly ChatTool[];
  /** Default 2048, and never more than the context has room for. */
  readonly maxTokens?: number;
  /** 0: the likeliest token each time. Default 0.2. */
  readonly temperature?: number;
}

/** What became of an attachment; `inCache`: it is among the files that completions see. */
export interface AttachmentInSight {
  readonly uri: string;
  readonly tokens: number;
  readonly documentTokens: number;
  readonly inCache: boolean;
}

/** What the model saw; counts are tokens of the model. */
export interface ChatContext {
  readonly promptTokens: number;
  /** Of these, what was in the cache. */
  readonly reusedTokens: number;
  readonly contextTokens: number;
  /** Files that completions see, in the order that the model sees them. */
  readonly files: readonly FileInSight[];
  readonly attachments: readonly AttachmentInSight[];
  /** Files and attachments that are not in sight. */
  readonly leftOut: readonly FileLeftOut[];
  /** Messages, the oldest but for the system's, for which there was no room. */
  readonly omittedMessages: number;
}

export interface ChatAnswer {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  /** length: `maxTokens` were generated. context: the context is full. */
  readonly finish: 'end' | 'length' | 'context';
  readonly context: ChatContext;
  readonly generatedTokens: number;
  /** From the request to the first token. */
  readonly firstTokenSeconds: number;
  /** Absent where nothing was prefilled, or less than two tokens were generated. */
  readonly prefillTokensPerSecond?: number;
  readonly decodeTokensPerSecond?: number;
  /** The cache when the answer was complete. */
  readonly tiers: readonly CacheTier[];
}

/** How far an answer is: tokens of the prompt that are evaluated, of those that were not in the cache; then text as it comes. */
export type ChatProgress =
  | {
      readonly id: string;
      readonly kind: 'prefill';
      readonly done: number;
      readonly total: number;
    }
  | { readonly id: string; readonly kind: 'text'; readonly text: string };

/**
 * client -> sidecar: answers a conversation. Completions go first while it runs. Cancelling ends it within one decode step;
 * what was told until then stays valid.
 */
export const ChatRequest = new RequestType<ChatParams, ChatAnswer, RequestFailure>(
  'sightline/chat',
);

/** sidecar -> client, while a `sightline/chat` runs. */
export const ChatProgressNotification = new NotificationType<ChatProgress>(
  'sightline/chatProgress',
);

/** client -> sidecar: the tokens of each text, by the model's own tokeniser. Waits for the model. */
export const CountTokensRequest = new RequestType<
  { readonly texts: readonly string[] },
  readonly number[],
  RequestFailure
>('sightline/countTokens');

/** What the loaded model is; of its cache see `CacheStats`. */
export interface ModelInSight {
  readonly name: string;
  /** Path of its GGUF file. */
  readonly path: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly fileBytes: number;
  readonly contextTokens: number;
  readonly trainedTokens: number;
  /** Whether the GGUF has a template for conversations. */
  readonly canChat: boolean;
  readonly canFillInTheMiddle: boolean;
  /** Whether the template takes tools. */
  readonly canCallTools: boolean;
  /** Name of the GPU that it is on. */
  readonly gpu?: string;
}

/** client -> sidecar: the loaded model. Waits for it; null where none can be loaded, which the status says. */
export const ModelRequest = new RequestType0<ModelInSight | null, void>('sightline/getModel');

/** What caches of the loaded model take, by length. */
export interface MemoryForecast {
  /** Lengths of a sequence, ascending. */
  readonly tokens: readonly number[];
  /** By policy: `full`, `selective` and `compressed` (both with the sink, window and tier in use), and the one in use if it is another. */
  readonly policies: readonly {
    readonly policy: CachePolicyName;
    /** For each of `tokens`; an upper bound where a policy decides by the data. */
    readonly bytes: readonly number[];
  }[];
  /** What each profile would be, the other settings as they are; empty where the model's file does not tell. */
  readonly profiles: readonly {
    readonly name: CacheProfileName;
    /** With the context full. */
    readonly bytes: number;
    /** Absent: nothing was measured, or nothing is lost. */
    readonly measured?: MeasuredQuality;
  }[];
  /** Of what profiles stand for, what `model.overrides` sets for this model: that goes before any profile. */
  readonly overridden: readonly ('policy' | 'tier')[];
}

/** What a cache costs in quality, next to an FP16 cache of the same model. */
export interface MeasuredQuality {
  /** Name of the model's file: others differ. */
  readonly model: string;
  /** Length of the contexts that it was measured in. */
  readonly contextTokens: number;
  /** Share of positions where both caches find the same token the likeliest. */
  readonly sameTop: number;
}

/** client -> sidecar: what caches would take; null before a model is loaded. */
export const MemoryForecastRequest = new RequestType0<MemoryForecast | null, void>(
  'sightline/forecastMemory',
);

/** What the cache in use costs in quality on one document, next to an FP16 cache. */
export interface CacheQuality {
  readonly uri: string;
  /** Of the document, as many as were compared. */
  readonly tokens: number;
  readonly documentTokens: number;
  readonly policy: CachePolicyName;
  readonly perplexity: number;
  readonly fp16Perplexity: number;
  /** Kullback-Leibler divergence from the FP16 cache in nats: mean, and what 99 % of the positions are below. */
  readonly divergence: number;
  readonly divergence99: number;
  /** Share of positions where both caches find the same token the likeliest. */
  readonly sameTop: number;
  readonly bytes: number;
  readonly fp16Bytes: number;
}

/** client -> sidecar: measures that. Completions go first while it runs; with a `workDoneToken` the client is told how far it is. */
export const MeasureCacheRequest = new RequestType<
  { readonly uri: string; readonly workDoneToken?: string | number },
  CacheQuality,
  RequestFailure
>('sightline/measureCache');

/** client -> sidecar: empties the cache; what is open is put into it anew while nothing happens. */
export const ClearCacheRequest = new RequestType0<void, void>('sightline/clearCache');

/** client -> sidecar: what there is and what is used, as Markdown, to be looked at or sent with a report. */
export const DiagnoseRequest = new RequestType0<string, void>('sightline/diagnose');

/** client -> sidecar: the latest statistics, or null before a model is loaded. */
export const CacheStatsRequest = new RequestType0<CacheStats | null, void>(
  'sightline/getCacheStats',
);

/** Whether a model and its cache find room on this machine, by the settings. */
export interface ModelFit {
  /** split: some layers on the GPU, the others on the CPU. */
  readonly where: 'gpu' | 'split' | 'cpu' | 'nowhere';
  readonly weightBytes: number;
  /** With the context full; an upper bound for `attention` and `lowrank` and where layers have windows; for `auto` the least it can do with. */
  readonly cacheBytes: number;
  readonly contextTokens: number;
  /** The reasons, for people; where there is no room, what to do. */
  readonly message: string;
}

/** What a GGUF file says of its model. */
export interface ModelDetails {
  readonly architecture: string;
  readonly trainedTokens: number;
  readonly canChat: boolean;
  readonly canFillInTheMiddle: boolean;
  readonly fit: ModelFit;
}

/** A model on this machine. */
export interface LocalModel {
  readonly name: string;
  /** Of its first file. */
  readonly path: string;
  /** cache: the folder that Hugging Face's tools share. file: of the paths asked for. */
  readonly source: 'bundled' | 'cache' | 'file';
  readonly repository?: string;
  readonly bytes: number;
  /** Absent where there is a `problem`. */
  readonly details?: ModelDetails;
  /** Why it cannot be loaded, and what to do. */
  readonly problem?: string;
}

/** A model that Sightline knows of; nothing was asked of the network for it. */
export interface CatalogueModel {
  readonly name: string;
  readonly repository: string;
  readonly quantisation: string;
  readonly parameters: number;
  readonly trainedTokens: number;
  readonly uses: readonly ('completion' | 'chat')[];
  readonly licence: string;
  /** What the licence does not allow. */
  readonly restriction?: string;
  /** About. */
  readonly bytes: number;
  readonly fit: ModelFit;
}

export interface ModelList {
  readonly local: readonly LocalModel[];
  readonly catalogue: readonly CatalogueModel[];
  /** Where downloads go. */
  readonly folder: string;
}

/** client -> sidecar: the models that there are, without any use of the network. `paths`: GGUF files that the user has added. */
export const ListModelsRequest = new RequestType<
  { readonly paths: readonly string[] },
  ModelList,
  RequestFailure
>('sightline/listModels');

/** One quantisation in a repository. */
export interface PublishedFile {
  /** Name of the first of its files. */
  readonly file: string;
  /** Empty where the name does not tell. */
  readonly quantisation: string;
  readonly bytes: number;
  /** Of these, what is not on this machine. */
  readonly missingBytes: number;
  readonly parts: number;
  /** Where it is, if it is here. */
  readonly path?: string;
  readonly fit: ModelFit;
}

/** What a hub has of a model. */
export interface PublishedModel {
  readonly repository: string;
  readonly licence?: string;
  /** Access is to be asked for on its page. */
  readonly gated: boolean;
  readonly name: string;
  readonly architecture: string;
  readonly trainedTokens: number;
  readonly canChat: boolean;
  readonly canFillInTheMiddle: boolean;
  /** The smallest first. */
  readonly files: readonly PublishedFile[];
}

/**
 * client -> sidecar: looks at a repository on the hub: its files, and what the header of one says. `token`: for repositories that
 * are not public; it is sent to the hub and nowhere else, and not kept.
 */
export const InspectModelRequest = new RequestType<
  { readonly repository: string; readonly token?: string },
  PublishedModel,
  RequestFailure
>('sightline/inspectModel');

/**
 * client -> sidecar: downloads a model, going on from where an earlier try ended, and answers with its path. Cancelling keeps
 * what has arrived; with a `workDoneToken` the client is told how far it is.
 */
export const DownloadModelRequest = new RequestType<
  {
    readonly repository: string;
    readonly file: string;
    readonly token?: string;
    readonly workDoneToken?: string | number;
  },
  { readonly path: string },
  RequestFailure
>('sightline/downloadModel');

/**
 * client -> sidecar: what the server of `SightlineSettings.server` wants to be told; empty: nothing. It is sent there and nowhere
 * else, and not kept on disk.
 */
export const ServerTokenNotification = new NotificationType<{ readonly token: string }>(
  'sightline/setServerToken',
);
