import {
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { sizeOf } from '../download/file.ts';
import type { HubFile, Repository } from './hub.ts';

/**
 * The folder that Hugging Face's own tools and llama.cpp keep downloads in, as they lay it out: the files by their hash in
 * `blobs`, and for each commit their names in `snapshots`.
 */
export function hubCacheFolder(env: NodeJS.ProcessEnv = process.env, home = homedir()): string {
  const { HF_HUB_CACHE: cache = '', HF_HOME: own = '', XDG_CACHE_HOME: xdg = '' } = env;
  if (cache !== '') return withHome(cache, home);
  if (own !== '') return join(withHome(own, home), 'hub');
  return join(isAbsolute(xdg) ? xdg : join(home, '.cache'), 'huggingface', 'hub');
}

const withHome = (path: string, home: string): string =>
  path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : path;

type Place = Pick<Repository, 'name' | 'commit'>;

const folderName = ({ name }: Pick<Place, 'name'>): string =>
  `models--${name.replaceAll('/', '--')}`;

const folderOf = (cache: string, place: Pick<Place, 'name'>): string =>
  join(cache, folderName(place));

/** Says that a blob is being downloaded. */
export const lockOf = (cache: string, place: Pick<Place, 'name'>, { sha256 }: HubFile): string =>
  join(cache, '.locks', folderName(place), `${sha256}.sightline`);

export const blobOf = (cache: string, place: Pick<Place, 'name'>, { sha256 }: HubFile): string =>
  join(folderOf(cache, place), 'blobs', sha256);

/** Where programs find a file of a commit, under the name it has in the repository. */
export const snapshotOf = (cache: string, place: Place, file: Pick<HubFile, 'name'>): string =>
  join(folderOf(cache, place), 'snapshots', place.commit, ...file.name.split('/'));

/** Whether a file is there, whole. */
export async function isThere(cache: string, place: Place, file: HubFile): Promise<boolean> {
  return (await sizeOf(snapshotOf(cache, place, file))) === file.bytes;
}

/** Gives a downloaded blob its name in the commit, and notes that the branch is at it. */
export async function publish(cache: string, place: Place, file: HubFile): Promise<string> {
  const blob = blobOf(cache, place, file);
  const path = snapshotOf(cache, place, file);
  if ((await sizeOf(path)) !== file.bytes) {
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    await pointTo(blob, path);
  }
  const ref = join(folderOf(cache, place), 'refs', 'main');
  await mkdir(dirname(ref), { recursive: true });
  const made = `${ref}.${process.pid}`;
  await writeFile(made, place.commit);
  await rename(made, ref);
  return path;
}

/** By a symbolic link; where the system wants rights for these, by a second name, and where it knows none, by a copy. */
async function pointTo(blob: string, path: string): Promise<void> {
  const ways = [
    () => symlink(relative(dirname(path), blob), path),
    () => link(blob, path),
    () => copyFile(blob, path),
  ];
  for (const [i, way] of ways.entries()) {
    try {
      await way();
      return;
    } catch (error) {
      const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
      // Another window was as fast.
      if (code === 'EEXIST') return;
      if (i === ways.length - 1) throw error;
    }
  }
}

/** A file in the cache, by the name it has in its repository. */
export interface CachedFile {
  readonly repository: string;
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** Deeper than this no repository has its models. */
const mostDepth = 3;

/** The GGUF files in the cache; of several commits with the same file the one that a branch is at. */
export async function cachedModels(cache: string): Promise<CachedFile[]> {
  const found: CachedFile[] = [];
  for (const folder of await namesIn(cache)) {
    const [kind, owner, ...rest] = folder.split('--');
    if (kind !== 'models' || owner === undefined || rest.length === 0) continue;
    const repository = `${owner}/${rest.join('--')}`;
    const commits = await commitsOf(join(cache, folder));
    const files = new Map<string, CachedFile>();
    for (const commit of commits) {
      const snapshot = join(cache, folder, 'snapshots', commit);
      for (const name of await filesIn(snapshot, mostDepth)) {
        const path = join(snapshot, ...name.split('/'));
        const bytes = await sizeOf(path);
        // A link whose blob was deleted leads nowhere.
        if (bytes !== undefined && !files.has(name)) {
          files.set(name, { repository, name, path, bytes });
        }
      }
    }
    found.push(...files.values());
  }
  return found;
}

/** Those that a branch is at come first. */
async function commitsOf(folder: string): Promise<string[]> {
  const refs = await namesIn(join(folder, 'refs'));
  const current = new Set(
    await Promise.all(
      refs.map((ref) => readFile(join(folder, 'refs', ref), 'utf8').catch(() => '')),
    ),
  );
  const all = await namesIn(join(folder, 'snapshots'));
  return [...all.filter((one) => current.has(one)), ...all.filter((one) => !current.has(one))];
}

async function filesIn(folder: string, depth: number, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for (const name of await namesIn(folder)) {
    if (name.endsWith('.gguf')) found.push(prefix + name);
    else if (depth > 0 && (await isFolder(join(folder, name)))) {
      found.push(...(await filesIn(join(folder, name), depth - 1, `${prefix}${name}/`)));
    }
  }
  return found;
}

/** Not one that a link leads to: that may lead in circles. */
const isFolder = async (path: string): Promise<boolean> =>
  (await lstat(path).catch(() => undefined))?.isDirectory() === true;

const namesIn = (folder: string): Promise<string[]> =>
  readdir(folder).then(
    (names) => names.sort(),
    () => [],
  );
