import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation, type Failure } from '../engine/failure.ts';
import type { Part } from './arrange.ts';
import { isSettled, isTellable, settle, type OpenDocument, type TextRange } from './settle.ts';
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
  readonly documents: () => Iterable<OpenDocument>;
  /** The most tokens that a completion writes. */
  readonly maxTokens: () => number;
  /** How long nothing happens before the cache is filled. */
  readonly idleMs: number;
  /** The cache has changed in the background. */
  readonly onFill: (model: LoadedModel, prefix: StablePrefix) => void;
  /** There was no memory for all of it, or the engine failed; from here on it is less. */
  readonly onFailure: (failure: Failure) => void;
}

/** Where the user was in a document. */
interface Use {
  readonly cursor: number;
  readonly shown: TextRange;
}

/**
 * Keeps the stable part of prompts: settles the open documents while nothing else is to be done, the one in use first.
 * Requests stop it at once, and go on with what it has got to.
 */
export class ContextKeeper {
  readonly #options: KeeperOptions;
  /** By URI, the latest last. */
  readonly #uses = new Map<string, Use>();
  #stable: StableContext | undefined;
  #timer: NodeJS.Timeout | undefined;
  #filling: AbortController | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Stops filling, and gives what the prompt of a request starts with. */
  take(model: LoadedModel): StablePrefix {
    this.stop();
    const context = this.#of(model);
    context.forgetOthers(new Set([...this.#options.documents()].map(({ uri }) => uri)));
    return context.prefix;
  }

  /** Where the lines before the cursor started that the latest prompt of a document had. */
  liveStart(uri: string): number | undefined {
    return this.#uses.get(uri)?.shown.start;
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
        this.#of(model).shrink();
        this.#options.onFailure(failure);
      });
    }, this.#options.idleMs);
    this.#timer.unref();
  }

  /** Ends what runs and what is planned. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#filling?.abort();
    this.#filling = undefined;
  }

  /** Settles what is open and fills the cache with it. Rejects with ABORTED. */
  async fill(model: LoadedModel, signal: AbortSignal): Promise<void> {
    const context = this.#of(model);
    const wanted = await this.#wanted(model, context);
    if (signal.aborted) return;
    await context.fill(wanted, signal, () => {
      this.#options.onFill(model, context.prefix);
    });
    this.#options.onFill(model, context.prefix);
  }

  #of(model: LoadedModel): StableContext {
    if (this.#stable?.model !== model) {
      const { contextTokens } = model.native.info;
      const reserved = liveTokensOf(contextTokens) + this.#options.maxTokens() + frameTokens;
      this.#stable = new StableContext(model, Math.max(0, contextTokens - reserved));
    }
    return this.#stable;
  }

  /**
   * The open documents as parts, the most important first: those that completions were asked for in, the latest first. The
   * one in use is not among them where the lines around its cursor are all of it.
   */
  async #wanted(model: LoadedModel, context: StableContext): Promise<Part[]> {
    const open = [...this.#options.documents()].filter(isTellable);
    const uses = [...this.#uses.keys()].reverse();
    const rank = ({ uri }: OpenDocument): number => {
      const index = uses.indexOf(uri);
      return index < 0 ? uses.length : index;
    };
    // What was opened last comes first among those not used yet.
    const ranked = open.toReversed().sort((a, b) => rank(a) - rank(b));
    const live = liveTokensOf(model.native.info.contextTokens);
    const wanted: Part[] = [];
    for (const [index, document] of ranked.entries()) {
      const isLatest = index === 0;
      const use = this.#uses.get(document.uri);
      const held = context.partOf(document.uri);
      const fits = held !== undefined && held.tokens.length <= context.room;
      const does = fits && isSettled(held, document, isLatest ? use?.shown : undefined);
      const part = does ? held : await settle(model, document, use?.cursor ?? 0, context.room);
      if (!isLatest || part.tokens.length - part.headTokens > live) wanted.push(part);
    }
    return wanted;
  }
}
