import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation, type Failure } from '../engine/failure.ts';
import { completionSequence } from '../engine/sequences.ts';
import { commonPrefix } from '../engine/tokens.ts';
import type { Part } from './arrange.ts';
import { hashOf, type SnapshotFiles, type SnapshotIndex } from './snapshotFiles.ts';
import type { StableContext } from './stable.ts';

/** Tokens that are worth a file: fewer are evaluated sooner than anyone notices. */
const fewestTokens = 256;
/** The share of the tokens that must be new for another write in the background, so that it is rare for large caches. */
const leastShare = 1 / 8;
/** How long a write may take, in seconds: a request that comes meanwhile waits for it, and so does the end of the process. */
const longestWrite = 1;
/** Bytes per second, until a write has been measured. */
const assumedSpeed = 200e6;

export interface SnapshotsOptions {
  readonly files: SnapshotFiles;
  /** URIs of the folders that the editor has open. */
  readonly workspace: () => readonly string[];
  /** Whether the user wants any. */
  readonly isWanted: () => boolean;
  /** Something that the user can do something about, said once. */
  readonly onFailure: (failure: Failure) => void;
}

/** The stable part of prompts on disk, so that it is there again when the process is. One for each workspace and model. */
export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** Models without: part of their cache cannot be written, or the disk takes no more. */
  readonly #without = new WeakSet<LoadedModel>();
  #speed = assumedSpeed;
  #told = false;
  /** Ends when the latest write or deletion does. */
  #turn: Promise<void> = Promise.resolve();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /**
   * Makes the cache hold what is on disk of what is wanted, where that goes on from what is held and is worth it: parts up
   * to the first one whose document has another text. Resolves to whether it does.
   */
  async restore(
    context: StableContext,
    wanted: readonly Part[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const { model } = context;
    if (!this.#serves(model)) return false;
    const { files } = this.#options;
    const name = this.#nameOf(model);
    const snapshot = await files.read(name);
    const held = context.prefix.tokens;
    if (snapshot === undefined || snapshot.held < held.length + fewestTokens) return false;
    const parts = partsOf(snapshot, wanted, context);
    const tokens = context.tokensOf(parts);
    const usable = Math.min(snapshot.held, tokens.length);
    const goesOn = commonPrefix(held, tokens) === held.length;
    const isOver = (): boolean => signal.aborted;
    if (!goesOn || usable < held.length + fewestTokens || isOver()) return false;
    try {
      // In one go: no request comes between them.
      const [, left] = await Promise.all([
        model.native.restoreSession(snapshot.session),
        model.native.truncate(usable),
      ]);
      await files.touch(name);
      // A request that came meanwhile goes on from what was held before.
      if (isOver()) return false;
      context.adopt(parts, left);
      return true;
    } catch (error) {
      const { code } = failureOf(error);
      if (code === 'MODEL_UNSUPPORTED') {
        this.#without.add(model);
      } else if (code !== 'CLOSED') {
        // The cache is empty. Another window may have written another snapshot by now, which stays.
        context.adopt([], 0);
        if ((await files.read(name))?.session === snapshot.session) await files.remove(name);
      }
      return false;
    }
  }

  /** Writes what has been filled, where enough of it is new. Does nothing where the cache holds more than that. */
  async save(context: StableContext, signal: AbortSignal): Promise<void> {
    const isAlone = (): boolean =>
      !signal.aborted &&
      completionSequence(context.model.native.stats()).tokens === context.prefix.tokens.length;
    await this.#inTurn(() => this.#save(context, leastShare, isAlone));
  }

  /** Writes what is held where any of it is new that is worth a file; what else the cache holds is lost. */
  async saveLast(context: StableContext): Promise<void> {
    await this.#inTurn(() => this.#save(context, 0, () => true));
  }

  /** Deletes all of this workspace. */
  async forget(): Promise<void> {
    await this.#inTurn(() => this.#options.files.remove(this.#workspaceName));
  }

  async #save(context: StableContext, share: number, may: () => boolean): Promise<void> {
    const { model, parts } = context;
    const { files } = this.#options;
    const held = context.prefix.tokens;
    const enough = Math.max(fewestTokens, share * held.length);
    try {
      if (!this.#serves(model) || held.length < enough || !may()) return;
      const { bytes } = completionSequence(model.native.stats());
      if (bytes > files.mostBytes || bytes > longestWrite * this.#speed) return;
      const name = this.#nameOf(model);
      const before = await files.read(name);
      const known = before?.tokens.subarray(0, before.held) ?? new Int32Array();
      const same = commonPrefix(held, known);
      if (held.length - same < enough) return;
      const left = await model.native.truncate(held.length);
      if (left - same < enough) return;
      const index = { tokens: context.tokensOf(parts), held: left, parts: parts.map(described) };
      const { session, publish } = await files.prepare(name, index);
      if (!may()) return;
      const start = performance.now();
      await model.native.saveSession(session);
      this.#speed = (1000 * bytes) / (performance.now() - start);
      await publish();
    } catch (error) {
      this.#giveUp(model, failureOf(error));
    }
  }

  /** What cannot be written now is not tried again with this model. */
  #giveUp(model: LoadedModel, failure: Failure): void {
    if (isCancellation(failure)) return;
    this.#without.add(model);
    if (this.#told || failure.code === 'MODEL_UNSUPPORTED') return;
    this.#told = true;
    const message = `Open files are evaluated again after a restart, since the cache cannot be kept on disk: ${failure.message}`;
    this.#options.onFailure({ code: 'WRITE_FAILED', message });
  }

  #serves(model: LoadedModel): boolean {
    return this.#options.isWanted() && !this.#without.has(model);
  }

  get #workspaceName(): string {
    return shortHash(this.#options.workspace().toSorted());
  }

  #nameOf({ native, options: { modelPath, cache } }: LoadedModel): string {
    const rest = shortHash([modelPath, native.info.contextTokens, cache]);
    return `${this.#workspaceName}-${rest}`;
  }

  /** One after the other: a deletion is not undone by a write that had begun before. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work);
    await this.#turn;
  }
}

const shortHash = (value: unknown): string => hashOf(JSON.stringify(value)).slice(0, 16);

const described = ({ text, tokens, ...part }: Part): SnapshotIndex['parts'][number] => ({
  uri: part.uri,
  start: part.start,
  end: part.end,
  tokens: tokens.length,
  headTokens: part.headTokens,
  documentTokens: part.documentTokens,
  textHash: hashOf(text),
});

/** The parts up to the first one that is not wanted with the same text, or has no room. */
function partsOf(
  { parts, tokens }: SnapshotIndex,
  wanted: readonly Part[],
  { head, room }: StableContext,
): Part[] {
  const now = new Map(wanted.map((part) => [part.uri, part]));
  const same: Part[] = [];
  // Of a repository of another name.
  if (commonPrefix(tokens, Int32Array.from(head)) < head.length) return [];
  let start = head.length;
  for (const { textHash, tokens: count, ...part } of parts) {
    const { text, source } = now.get(part.uri) ?? {};
    if (text === undefined || source === undefined) break;
    if (hashOf(text) !== textHash || start + count - head.length > room) break;
    same.push({ ...part, source, text, tokens: tokens.subarray(start, start + count) });
    start += count;
  }
  return same;
}
