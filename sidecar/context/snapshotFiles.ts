import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeWhole } from '../wholeFile.ts';

/** What all snapshots together may take on disk. */
const mostBytesOnDisk = 2 * 2 ** 30;
/** A snapshot that was not used for so long is deleted, in milliseconds. */
const longestUnused = 30 * 24 * 60 * 60 * 1000;
/** A file that nothing names may still be about to be named by another process for so long, in milliseconds. */
const longestWriting = 60_000;

const count = z.int().min(0);

const schema = z.strictObject({
  version: z.literal(1),
  /** Of all parts and of what stands before them; base64 of 32-bit integers. */
  tokens: z.base64().transform(tokensOf),
  /** So many of them are in the session file. */
  held: count,
  parts: z.array(
    z.strictObject({
      uri: z.string(),
      start: count,
      end: count,
      tokens: count,
      headTokens: count,
      documentTokens: count,
      textHash: z.string(),
    }),
  ),
});

/** What a session file holds, and of which documents. */
export type SnapshotIndex = Omit<z.infer<typeof schema>, 'version'>;

/** An index on disk, and the session file that belongs to it. */
export interface Snapshot extends SnapshotIndex {
  readonly session: string;
}

function tokensOf(base64: string): Int32Array<ArrayBuffer> {
  const bytes = Buffer.from(base64, 'base64');
  const whole = Math.floor(bytes.length / Int32Array.BYTES_PER_ELEMENT);
  return Int32Array.from({ length: whole }, (_, i) => bytes.readInt32LE(4 * i));
}

function textOf({ tokens, held, parts }: SnapshotIndex): string {
  const bytes = Buffer.alloc(tokens.byteLength);
  for (const [i, token] of tokens.entries()) bytes.writeInt32LE(token, 4 * i);
  return JSON.stringify({ version: 1, tokens: bytes.toString('base64'), held, parts });
}

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/**
 * Snapshots in a folder that only the user may look into: `NAME.json`, the index, and `NAME.HASH.session`, which the engine
 * writes. The hash is that of the index: a damaged one, or one that another process has replaced, finds no session. Both
 * files come to be whole or not at all; of several processes that write the same snapshot the last one's counts.
 */
export class SnapshotFiles {
  readonly #folder: string;
  /** The most bytes of all of them. */
  readonly mostBytes: number;

  /** `folder` is made when there is something to keep. */
  constructor(folder: string, mostBytes = mostBytesOnDisk) {
    this.#folder = folder;
    this.mostBytes = mostBytes;
  }

  /** Undefined where there is none; one that cannot be understood is deleted. */
  async read(name: string): Promise<Snapshot | undefined> {
    let text: string;
    try {
      text = await readFile(this.#indexOf(name), 'utf8');
    } catch {
      return undefined;
    }
    const { success, data } = schema.safeParse(parsed(text));
    if (success) return { ...data, session: this.#sessionOf(name, text) };
    await this.remove(name);
    return undefined;
  }

  /** Where the session of an index is to be written; `publish` makes the two a snapshot, and makes room for it. */
  async prepare(
    name: string,
    index: SnapshotIndex,
  ): Promise<{ readonly session: string; readonly publish: () => Promise<void> }> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const text = textOf(index);
    const session = this.#sessionOf(name, text);
    return { session, publish: () => this.#publish(name, text, session) };
  }

  /** It has been used. */
  async touch(name: string): Promise<void> {
    const now = new Date();
    await utimes(this.#indexOf(name), now, now).catch(() => undefined);
  }

  /** Deletes a snapshot, or all whose names start so. */
  async remove(prefix: string): Promise<void> {
    for (const { path, name } of await this.#list()) if (name.startsWith(prefix)) await erase(path);
  }

  #indexOf(name: string): string {
    return join(this.#folder, `${name}.json`);
  }

  #sessionOf(name: string, text: string): string {
    return join(this.#folder, `${name}.${hashOf(text)}.session`);
  }

  async #publish(name: string, text: string, session: string): Promise<void> {
    const index = this.#indexOf(name);
    try {
      await writeWhole(index, text, { mode: 0o600 });
    } catch (error) {
      await erase(session);
      throw error;
    }
    await this.#clean(name, [index, session]);
  }

  /** Deletes what a write of `latest` has replaced or left over, then what was not used for the longest time. */
  async #clean(latest: string, written: readonly string[]): Promise<void> {
    const snapshots = new Map<string, { bytes: number; used: number; paths: string[] }>();
    for (const { path, name } of await this.#list()) {
      const found = await stat(path).catch(() => undefined);
      if (found === undefined) continue;
      const { size, mtimeMs } = found;
      if (name === latest && !written.includes(path) && mtimeMs < Date.now() - longestWriting) {
        await erase(path);
        continue;
      }
      const snapshot = snapshots.get(name) ?? { bytes: 0, used: 0, paths: [] };
      snapshot.bytes += size;
      snapshot.used = Math.max(snapshot.used, mtimeMs);
      snapshot.paths.push(path);
      snapshots.set(name, snapshot);
    }
    let bytes = 0;
    for (const snapshot of [...snapshots.values()].sort((a, b) => b.used - a.used)) {
      bytes += snapshot.bytes;
      if (bytes <= this.mostBytes && snapshot.used >= Date.now() - longestUnused) continue;
      for (const path of snapshot.paths) await erase(path);
      bytes -= snapshot.bytes;
    }
  }

  /** All files, with the snapshot that each is of. */
  async #list(): Promise<{ readonly path: string; readonly name: string }[]> {
    const files = await readdir(this.#folder).catch(() => []);
    return files.map((file) => ({
      path: join(this.#folder, file),
      name: file.slice(0, file.indexOf('.')),
    }));
  }
}

const erase = (path: string): Promise<void> => rm(path, { force: true }).catch(() => undefined);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
