import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';
import { commonPrefix, joinTokens } from '../engine/tokens.ts';
import type { FileInSight } from '../protocol.ts';
import { arrange, type Part } from './arrange.ts';
import { startOf } from './head.ts';

/** What a prompt starts with, for all requests alike. */
export interface StablePrefix {
  readonly tokens: Int32Array;
  readonly files: readonly FileInSight[];
  /** Where each file ends among the tokens. */
  readonly ends: readonly number[];
}

export const noStablePrefix: StablePrefix = { tokens: new Int32Array(), files: [], ends: [] };

/**
 * The stable part of one model's prompts: files as they were settled, in the cache before the lines around the cursor. It
 * is filled in the background. Prompts start with as much of it as is in the cache, so none of them waits for it.
 */
export class StableContext {
  readonly model: LoadedModel;
  /** What stands before the first file. */
  readonly #start: readonly number[];
  #room: number;
  #parts: readonly Part[] = [];
  #tokens = new Int32Array();
  /** So many of `#tokens` are in the cache, or were before a prompt behind them was. */
  #held = 0;

  constructor(model: LoadedModel, room: number) {
    this.model = model;
    this.#start = startOf(model.native.info);
    this.#room = room;
  }

  /** The most tokens of it. */
  get room(): number {
    return this.#room;
  }

  /** Leaves room for a quarter less than there is now. */
  shrink(): void {
    this.#room = Math.floor((this.#held * 3) / 4);
  }

  /** What prompts start with now. */
  get prefix(): StablePrefix {
    const files: FileInSight[] = [];
    const ends: number[] = [];
    let start = this.#start.length;
    for (const { uri, tokens, headTokens, documentTokens } of this.#parts) {
      const end = Math.min(this.#held, start + tokens.length);
      const seen = end - start - headTokens;
      if (seen <= 0) break;
      files.push({ uri, tokens: seen, documentTokens });
      ends.push(end);
      start = end;
    }
    return { tokens: this.#tokens.subarray(0, this.#held), files, ends };
  }

  /** Without the files that are not among these, and what is behind them. */
  forgetOthers(uris: ReadonlySet<string>): void {
    const gone = this.#parts.findIndex(({ uri }) => !uris.has(uri));
    if (gone < 0) return;
    this.#parts = this.#parts.slice(0, gone);
    this.#tokens = this.#join(this.#parts);
    this.#held = Math.min(this.#held, this.#tokens.length);
  }

  /** The part that shows a document, whether it is in the cache yet or not. */
  partOf(uri: string): Part | undefined {
    return this.#parts.find((part) => part.uri === uri);
  }

  /** Fills the cache with what is wanted, the most important first. Rejects with ABORTED, keeping what it has got to. */
  async fill(
    wanted: readonly Part[],
    signal: AbortSignal,
    onProgress: () => void = () => undefined,
  ): Promise<void> {
    const parts = arrange(this.#parts, wanted, this.#room);
    const tokens = this.#join(parts);
    const held = commonPrefix(tokens, this.#tokens.subarray(0, this.#held));
    this.#parts = parts;
    this.#tokens = tokens;
    this.#held = held;
    if (held === tokens.length) return;
    const job = this.model.native.complete(
      { tokens, maxTokens: 0, sampling: greedy, stopTokens: new Int32Array() },
      (event) => {
        // What arrives after the end may no longer be so: the next prompt cuts the cache.
        if (event.kind !== 'prefill' || signal.aborted) return;
        this.#held = Math.max(this.#held, tokens.length - event.total + event.done);
        onProgress();
      },
    );
    await runJob(job, signal);
    if (!signal.aborted) this.#held = tokens.length;
  }

  #join(parts: readonly Part[]): Int32Array<ArrayBuffer> {
    if (parts.length === 0) return new Int32Array();
    return joinTokens([this.#start, ...parts.map(({ tokens }) => tokens)]);
  }
}
