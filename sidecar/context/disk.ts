import { open, realpath } from 'node:fs/promises';
import type { SourceFile } from './settle.ts';
import { folderOf, nameIn, uriOf, type Folder } from './workspace.ts';

/** Longer files are not read, in bytes. */
export const longestFile = 512 * 1024;

/** A file that nobody has open, or why it is not shown to a model. */
export type FileRead = SourceFile | 'missing' | 'outside' | 'size';

interface Held {
  readonly stamp: string;
  readonly read: FileRead;
}

/** Reads files of the workspace that the editor does not have open, again only when they have changed. */
export class Disk {
  #held = new Map<string, Held>();

  /** Files as they are now, in the order of `paths`; only those are kept in mind. Links that lead out of the folders are not followed. */
  async read(
    folders: readonly Folder[],
    paths: readonly string[],
  ): Promise<ReadonlyMap<string, FileRead>> {
    const held = new Map<string, Held>();
    await Promise.all(
      paths.map(async (path) => {
        const now = await this.#readOne(folders, path).catch(() => missing);
        held.set(path, now);
      }),
    );
    this.#held = held;
    return new Map(paths.map((path) => [path, held.get(path)?.read ?? 'missing']));
  }

  async #readOne(folders: readonly Folder[], path: string): Promise<Held> {
    if (folderOf(folders, await realpath(path)) === undefined)
      return { stamp: '', read: 'outside' };
    const file = await open(path, 'r');
    try {
      const { size, mtimeMs, ino } = await file.stat();
      const stamp = `${size} ${mtimeMs} ${ino}`;
      const before = this.#held.get(path);
      if (before?.stamp === stamp) return before;
      if (size > longestFile) return { stamp, read: 'size' };
      const uri = uriOf(path);
      const text = (await file.readFile('utf8')).replace(/^\uFEFF/, '');
      return { stamp, read: { uri, name: nameIn(folders, uri), text } };
    } finally {
      await file.close();
    }
  }
}

const missing: Held = { stamp: '', read: 'missing' };
