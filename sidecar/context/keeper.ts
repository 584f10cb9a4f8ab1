import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation, type Failure } from '../engine/failure.ts';
import type { Part } from './arrange.ts';
import { repositoryHead } from './head.ts';
import { isSettled, settle, type Candidate, type SourceFile, type TextRange } from './settle.ts';
import type { ContextSources, Gathered } from './sources.ts';
import type { Snapshots } from './snapshot.ts';
import { StableContext, type StablePrefix } from './stable.ts';

/** The most tokens around the cursor, of contexts that are long enough: what a keystroke may evaluate. */
const mostLiveTokens = 512;

/** Left free for the marks of a prompt. */
const frameTokens = 64;

/** Tokens of a context that are around the cursor. */
export const liveTokensOf = (contextTokens: number): number =>
  Math.min(mostLiveTokens, Math.floor(contextTokens / 4));

export interface KeeperOptions {
  /** All that the editor has open. */
  readonly documents: () => Iterable<SourceFile>;
  readonly sources: ContextSources;
  /** What the model is told the repository is called; empty: nothing. */
  readonly repository: () => string;
  /** The most tokens that a completion writes. */
  readonly maxTokens: () => number;
  /** How long nothing happens before the cache is filled. */
  readonly idleMs: number;
  /** The cache has changed in the background. */
  readonly onFill: (model: LoadedModel, prefix: StablePrefix) => void;
  /** There was no memory for all of it, or the engine failed; from here on it is less. */
  readonly onFailure: (failure: Failure) => void;
  /** Absent: what is filled is lost with the process. */
  readonly snapshots?: Snapshots;
}

/** Where the user was in a document. */
interface Use {
  readonly cursor: number;
  /** What the latest prompt of the document showed around it; absent where it was only looked at. */
  readonly shown?: TextRange;
}

/**
 * Keeps the stable part of prompts: settles the open documents, and files related to the one in use, while nothing else is
 * to be done. Requests stop it at once, and go on with what it has got to.
 */
export class ContextKeeper {
  readonly #options: KeeperOptions;
  /** By URI, the latest last. */
  readonly #uses = new Map<string, Use>();
  /** What was gathered last, by URI. */
  #candidates: ReadonlyMap<string, Candidate> = new Map();
  #stable: StableContext | undefined;
  /** What its room leaves for a completion. */
  #maxTokens = 0;
  #timer: NodeJS.Timeout | undefined;
  #filling: AbortController | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Stops filling, and gives what the prompt of a request for a document starts with. */
  take(model: LoadedModel, uri: string): StablePrefix {
    this.stop();
    const context = this.#of(model);
    const open = new Set([...this.#options.documents()].map((document) => document.uri));
    context.keepOnly((other) => {
      const candidate = this.#candidates.get(other);
      if (candidate?.onlyInUse === true && other !== uri) return false;
      return open.has(other) || (candidate !== undefined && candidate.source !== 'open');
    });
    return context.prefix;
  }

  /** Where the lines before the cursor started that the latest prompt of a document had. */
  liveStart(uri: string): number | undefined {
    return this.#uses.get(uri)?.shown?.start;
  }

  /** The user looks at a place in a document. */
  view(uri: string, offset: number): void {
    const use = this.#uses.get(uri);
    // The cursor of a completion says more than what happens to be on the screen.
    this.note(uri, use?.shown === undefined ? { cursor: offset } : use);
  }

  /** A document is the latest in use from here on, wherever the cursor is in it. */
  use(uri: string): void {
    this.note(uri, this.#uses.get(uri) ?? { cursor: 0 });
  }

  /** What the cache held is gone. */
  forget(): void {
    this.stop();
    this.#stable = undefined;
  }

  /** A request has been served: its document is the latest in use. */
  note(uri: string, use: Use): void {
    this.#uses.delete(uri);
    this.#uses.set(uri, use);
  }

  /** Something has happened: the cache is filled once nothing more does. */
  wait(model: LoadedModel): void {
    this.stop();
    const filling = new AbortController();
    this.#filling = filling;
    this.#timer = setTimeout(() => {
      this.fill(model, filling.signal).catch((error: unknown) => {
        const failure = failureOf(error);
        if (isCancellation(failure)) return;
        this.shrink(model);
        this.#options.onFailure(failure);
      });
    }, this.#options.idleMs);
    this.#timer.unref();
  }

  /** There was no memory for a prompt: the next one starts with less. */
  shrink(model: LoadedModel): void {
    this.#of(model).shrink();
  }

  /** Ends what runs and what is planned. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#filling?.abort();
    this.#filling = undefined;
  }

  /** Ends what runs and is planned; what is held is on disk then, where that is worth it. */
  async close(): Promise<void> {
    // While a request runs nothing is written: it would have to be waited for.
    const isIdle = this.#filling !== undefined;
    this.stop();
    if (isIdle && this.#stable !== undefined) {
      await this.#options.snapshots?.saveLast(this.#stable);
    }
  }

  /**
   * Settles what is open and fills the cache with it. Rejects with ABORTED. `onProgress`: tokens that were evaluated, of those
   * that the cache lacked.
   */
  async fill(
    model: LoadedModel,
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void = () => undefined,
  ): Promise<void> {
    const context = this.#of(model);
    const { snapshots, sources, repository } = this.#options;
    const isOver = (): boolean => signal.aborted;
    const head = await repositoryHead(model.native.info, model.tokenizer, repository());
    if (isOver()) return;
    context.setHead(head);
    const { used, unused } = this.#openDocuments();
    const focusOf = (uri: string): number => this.#uses.get(uri)?.cursor ?? 0;
    const gathered = await sources.gather({ used, unused, focusOf }, signal);
    this.#candidates = new Map(gathered.candidates.map((one) => [one.document.uri, one]));
    const inUse = (used[0] ?? unused[0])?.uri;
    let wanted = await this.#parts(model, context, gathered, inUse);
    const isRestored = await snapshots?.restore(context, wanted, signal);
    if (isRestored === true) wanted = await this.#parts(model, context, gathered, inUse);
    if (isOver()) return;
    await context.fill(wanted, gathered.leftOut, signal, (done, total) => {
      onProgress(done, total);
      this.#options.onFill(model, context.prefix);
    });
    this.#options.onFill(model, context.prefix);
    await snapshots?.save(context, signal);
  }

  #of(model: LoadedModel): StableContext {
    const { contextTokens } = model.native.info;
    const maxTokens = this.#options.maxTokens();
    const room = Math.max(0, contextTokens - liveTokensOf(contextTokens) - maxTokens - frameTokens);
    if (this.#stable?.model !== model) this.#stable = new StableContext(model, room);
    else if (maxTokens !== this.#maxTokens) this.#stable.resize(room);
    this.#maxTokens = maxTokens;
    return this.#stable;
  }

  /** What the editor has open: what was used, the latest first, and the rest, what was opened last first. */
  #openDocuments(): { readonly used: SourceFile[]; readonly unused: SourceFile[] } {
    const open = [...this.#options.documents()];
    const used = [...this.#uses.keys()]
      .reverse()
      .map((uri) => open.find((document) => document.uri === uri))
      .filter((document) => document !== undefined);
    return { used, unused: open.filter((document) => !used.includes(document)).reverse() };
  }

  /** The candidates as parts: without empty ones, and the one in use where the lines around its cursor are all of it. */
  async #parts(
    model: LoadedModel,
    context: StableContext,
    { candidates }: Gathered,
    inUse: string | undefined,
  ): Promise<Part[]> {
    const live = liveTokensOf(model.native.info.contextTokens);
    const parts: Part[] = [];
    for (const candidate of candidates) {
      const { document, source } = candidate;
      const isInUse = document.uri === inUse;
      const shown = isInUse ? this.#uses.get(document.uri)?.shown : undefined;
      const held = context.partOf(document.uri);
      const fits = held !== undefined && held.tokens.length <= context.room;
      const part =
        fits && isSettled(held, document, shown)
          ? { ...held, source }
          : await settle(model, candidate, context.room);
      const tokens = part.tokens.length - part.headTokens;
      if (tokens > (isInUse ? live : 0)) parts.push(part);
    }
    return parts;
  }
}
