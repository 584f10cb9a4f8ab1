import { isDeepStrictEqual } from 'node:util';
import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';
import { commonPrefix, joinTokens } from '../engine/tokens.ts';
import type { FileInSight, FileLeftOut } from '../protocol.ts';
import { arrange, type Part } from './arrange.ts';
import { startOf } from './head.ts';

/** What a prompt starts with, for all requests alike. */
export interface StablePrefix {
  readonly tokens: Int32Array;
  readonly files: readonly FileInSight[];
  /** Where each file ends among the tokens. */
  readonly ends: readonly number[];
  readonly leftOut: readonly FileLeftOut[];
}

export const noStablePrefix: StablePrefix = {
  tokens: new Int32Array(),
  files: [],
  ends: [],
  leftOut: [],
};

/**
 * The stable part of one model's prompts: files as they were settled, in the cache before the lines around the cursor. It
 * is filled in the background. Prompts start with as much of it as is in the cache, so none of them waits for it.
 */
export class StableContext {
  readonly model: LoadedModel;
  /** What stands before the first file. */
  #head: readonly number[];
  #room: number;
  #parts: readonly Part[] = [];
  #leftOut: readonly FileLeftOut[] = [];
  #tokens = new Int32Array();
  /** So many of `#tokens` are in the cache, or were before a prompt behind them was. */
  #held = 0;

  constructor(model: LoadedModel, room: number) {
    this.model = model;
    this.#head = startOf(model.native.info);
    this.#room = room;
  }

  /** The most tokens of it. */
  get room(): number {
    return this.#room;
  }

  get head(): readonly number[] {
    return this.#head;
  }

  /** Where it was another one, nothing is held any more. */
  setHead(head: readonly number[]): void {
    if (isDeepStrictEqual(head, this.#head)) return;
    this.#head = head;
    this.adopt([], 0);
  }

  /** Makes it so many tokens at most. */
  resize(room: number): void {
    this.#room = room;
    this.#held = Math.min(this.#held, room);
  }

  /** Gives a quarter of what is held up, and leaves no room for more. */
  shrink(): void {
    this.resize(Math.floor((this.#held * 3) / 4));
  }

  /** What prompts start with now. */
  get prefix(): StablePrefix {
    const files: FileInSight[] = [];
    const ends: number[] = [];
    let start = this.#head.length;
    for (const { uri, source, tokens, headTokens, documentTokens } of this.#parts) {
      const end = Math.min(this.#held, start + tokens.length);
      const seen = end - start - headTokens;
      if (seen <= 0) break;
      files.push({ uri, source, tokens: seen, documentTokens });
      ends.push(end);
      start = end;
    }
    const tokens = this.#tokens.subarray(0, this.#held);
    return { tokens, files, ends, leftOut: this.#leftOut };
  }

  /** The parts that are in the cache, the last of them perhaps not to its end. */
  get parts(): readonly Part[] {
    let start = this.#head.length;
    return this.#parts.filter(({ tokens }) => {
      const isHeld = start < this.#held;
      start += tokens.length;
      return isHeld;
    });
  }

  /** Takes over what the cache has been made to hold: so many tokens of these parts. */
  adopt(parts: readonly Part[], held: number): void {
    this.#parts = parts;
    this.#tokens = this.tokensOf(parts);
    this.#held = Math.min(held, this.#tokens.length);
  }

  /** Without the first file that is not wanted any more, and all that is behind it. */
  keepOnly(isWanted: (uri: string) => boolean): void {
    const gone = this.#parts.findIndex(({ uri }) => !isWanted(uri));
    if (gone < 0) return;
    this.#parts = this.#parts.slice(0, gone);
    this.#tokens = this.tokensOf(this.#parts);
    this.#held = Math.min(this.#held, this.#tokens.length);
  }

  /** What the cache holds of these parts, with what stands before the first one. */
  tokensOf(parts: readonly Part[]): Int32Array<ArrayBuffer> {
    if (parts.length === 0) return new Int32Array();
    return joinTokens([this.#head, ...parts.map(({ tokens }) => tokens)]);
  }

  /** The part that shows a document, whether it is in the cache yet or not. */
  partOf(uri: string): Part | undefined {
    return this.#parts.find((part) => part.uri === uri);
  }

  /**
   * Fills the cache with what is wanted, the most important first; `leftOut` is what is not. Rejects with ABORTED, keeping
   * what it has got to. `onProgress`: tokens that were evaluated, of those that the cache lacked.
   */
  async fill(
    wanted: readonly Part[],
    leftOut: readonly FileLeftOut[],
    signal: AbortSignal,
    onProgress: (done: number, total: number) => void = () => undefined,
  ): Promise<void> {
    const parts = arrange(this.#parts, wanted, this.#room);
    const tokens = this.tokensOf(parts);
    const held = commonPrefix(tokens, this.#tokens.subarray(0, this.#held));
    const noRoom = wanted.filter((part) => !parts.includes(part));
    this.#parts = parts;
    this.#leftOut = [...noRoom.map(({ uri }) => ({ uri, reason: 'room' as const })), ...leftOut];
    this.#tokens = tokens;
    this.#held = held;
    if (held === tokens.length) return;
    const job = this.model.native.complete(
      { tokens, maxTokens: 0, sampling: greedy, stopTokens: new Int32Array() },
      (event) => {
        // What arrives after the end may no longer be so: the next prompt cuts the cache.
        if (event.kind !== 'prefill' || signal.aborted) return;
        this.#held = Math.max(this.#held, tokens.length - event.total + event.done);
        onProgress(event.done, event.total);
      },
    );
    await runJob(job, signal);
    if (!signal.aborted) this.#held = tokens.length;
  }
}
