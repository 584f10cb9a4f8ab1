import { rmSync, watch, type FSWatcher } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How often a window says that it is there, in milliseconds. */
const beatMs = 30_000;
/** One that has not said so for this long has died. */
const silentMs = 100_000;

/**
 * The windows whose sidecars hold a cache: each has a file of its own in a folder of the user's, named by its process, touched
 * while it lives. What they may hold together is shared evenly.
 */
export class Windows {
  readonly #folder: string;
  readonly #file: string;
  readonly #onChange: (count: number) => void;
  #watcher: FSWatcher | undefined;
  #beat: NodeJS.Timeout | undefined;
  #count = 1;
  #looks = 0;

  /** `onChange` is told how many there are, this one included, whenever that has changed. */
  constructor(folder: string, onChange: (count: number) => void, id = String(process.pid)) {
    this.#folder = folder;
    this.#file = join(folder, id);
    this.#onChange = onChange;
  }

  /** How many there were when last looked. */
  get count(): number {
    return this.#count;
  }

  /** Where the folder cannot be written the window counts as the only one. */
  async join(): Promise<void> {
    if (this.#beat !== undefined) return;
    this.#beat = setInterval(() => void this.#live(), beatMs);
    this.#beat.unref();
    await this.#live();
    try {
      this.#watcher = watch(this.#folder, () => void this.#look());
      this.#watcher.unref();
      this.#watcher.on('error', () => undefined);
    } catch {
      // Then a change is noticed with the next beat.
    }
    // Another may have come before it was watched for.
    await this.#look();
  }

  /** Gives up this window's share. */
  leave(): void {
    clearInterval(this.#beat);
    this.#beat = undefined;
    this.#watcher?.close();
    this.#count = 1;
    this.#looks++;
    try {
      rmSync(this.#file, { force: true });
    } catch {
      // It was never there.
    }
  }

  async #live(): Promise<void> {
    try {
      const now = new Date();
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await utimes(this.#file, now, now).catch(() => writeFile(this.#file, ''));
      await this.#look();
    } catch {
      // Nobody can be told of a share that nobody keeps count of.
    }
  }

  /** Counts the living, and clears away what the dead have left. */
  async #look(): Promise<void> {
    if (this.#beat === undefined) return;
    const look = ++this.#looks;
    const names = await readdir(this.#folder).catch(() => []);
    const living = await Promise.all(
      names.map(async (name) => {
        const file = join(this.#folder, name);
        const found = await stat(file).catch(() => undefined);
        if (found === undefined) return false;
        if (Date.now() - found.mtimeMs <= silentMs) return true;
        await rm(file, { force: true });
        return false;
      }),
    );
    const count = Math.max(1, living.filter(Boolean).length);
    // A later look has seen more.
    if (look !== this.#looks || count === this.#count) return;
    this.#count = count;
    this.#onChange(count);
  }
}
