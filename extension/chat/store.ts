import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { conversation, type Conversation } from './conversation.ts';

/** What was found where conversations are kept. */
export interface Found {
  /** The latest first. */
  readonly conversations: Conversation[];
  /** Files that hold no conversation; they were renamed to end in `.damaged`. */
  readonly damaged: readonly string[];
}

/** Keeps conversations in a folder, a JSON file each, so that one that is damaged costs no other. */
export class ConversationStore {
  readonly #folder: string;
  /** What is still to be written, by the conversation's id; undefined: to be deleted. */
  readonly #waiting = new Map<string, Conversation | undefined>();
  #writing: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Reads all. Rejects where the folder cannot be read. */
  async open(): Promise<Found> {
    await this.#writing;
    await mkdir(this.#folder, { recursive: true });
    const conversations: Conversation[] = [];
    const damaged: string[] = [];
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name);
      // Left behind by a write that did not come to its end: the file that it was to replace is whole.
      if (name.endsWith('.tmp')) await rm(path, { force: true });
      if (!name.endsWith('.json')) continue;
      const read = parse(await readFile(path, 'utf8'));
      if (read?.id === name.slice(0, -'.json'.length)) conversations.push(interrupted(read));
      else {
        await rename(path, `${path}.damaged`);
        damaged.push(`${path}.damaged`);
      }
    }
    conversations.sort((a, b) => b.changed - a.changed);
    return { conversations, damaged };
  }

  /** Writes a conversation as it is now; of several calls while one is written the last counts. Rejects where it cannot be written. */
  save(saved: Conversation): Promise<void> {
    this.#waiting.set(saved.id, saved);
    return this.#write();
  }

  delete(id: string): Promise<void> {
    this.#waiting.set(id, undefined);
    return this.#write();
  }

  /** One file at a time. What could not be written is not tried again by itself. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Calls in the same turn of the event loop are one.
    await Promise.resolve();
    for (let next = first(this.#waiting); next !== undefined; next = first(this.#waiting)) {
      const [id, saved] = next;
      this.#waiting.delete(id);
      const path = join(this.#folder, `${id}.json`);
      if (saved === undefined) {
        await rm(path, { force: true });
        continue;
      }
      await writeFile(`${path}.tmp`, JSON.stringify(saved), { flush: true });
      await rename(`${path}.tmp`, path);
    }
  }
}

const first = <T>(all: Iterable<T>): T | undefined => {
  for (const one of all) return one;
  return undefined;
};

function parse(text: string): Conversation | undefined {
  try {
    return conversation.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** What was being answered when the window was closed will not be answered by itself. */
function interrupted(read: Conversation): Conversation {
  for (const { answer } of read.turns) {
    if (answer?.state === 'running') answer.state = 'stopped';
  }
  return read;
}
