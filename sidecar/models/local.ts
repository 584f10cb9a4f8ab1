import { basename, dirname, join } from 'node:path';
import { stat } from 'node:fs/promises';
import { sizeOf } from '../download/file.ts';
import type { Failure } from '../engine/failure.ts';
import type { Result } from '../result.ts';
import { readLocalHeader, type ModelHeader } from './header.ts';
import { cachedModels } from './hubCache.ts';

/** A model on this machine. */
export interface LocalFile {
  readonly path: string;
  readonly source: 'bundled' | 'cache' | 'file';
  /** That it was downloaded from. */
  readonly repository?: string;
}

const splitName = /-(\d{5})-of-(\d{5})\.gguf$/;

/** Every model that there is, each once: of a split one the first part. `paths`: those that the user has added. */
export async function localFiles(
  bundled: string,
  cache: string,
  paths: readonly string[],
): Promise<LocalFile[]> {
  const cached = await cachedModels(cache);
  const all: LocalFile[] = [
    { path: bundled, source: 'bundled' },
    ...cached.map(({ path, repository }) => ({ path, source: 'cache' as const, repository })),
    ...paths.map((path) => ({ path, source: 'file' as const })),
  ];
  const seen = new Set<string>();
  return all.filter(({ path }) => {
    if (seen.has(path) || !isFirstPart(path) || /mmproj|imatrix/i.test(basename(path)))
      return false;
    seen.add(path);
    return true;
  });
}

const isFirstPart = (path: string): boolean => Number(splitName.exec(path)?.[1] ?? 1) === 1;

/** The files that a model is in, by the name of the first. */
export function partsOf(path: string): string[] {
  const total = splitName.exec(path)?.[2];
  if (total === undefined) return [path];
  const stem = basename(path).replace(splitName, '');
  return Array.from({ length: Number(total) }, (_, i) =>
    join(dirname(path), `${stem}-${String(i + 1).padStart(5, '0')}-of-${total}.gguf`),
  );
}

/** Bytes of all parts; undefined: one of them is not there. */
export async function modelBytes(path: string): Promise<number | undefined> {
  let bytes = 0;
  for (const part of partsOf(path)) {
    const size = await sizeOf(part);
    if (size === undefined) return undefined;
    bytes += size;
  }
  return bytes;
}

/** What to say where parts are missing. */
export const partsMissing = (path: string): string =>
  `Parts of ${basename(path)} are missing beside it. Download it again.`;

/** Headers of local files, read once for as long as the files do not change. */
export class LocalHeaders {
  readonly #known = new Map<string, { readonly stamp: string; readonly header: ModelHeader }>();

  async read(path: string, signal: AbortSignal): Promise<Result<ModelHeader, Failure>> {
    const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }));
    const stamp = `${size} ${mtimeMs}`;
    const known = this.#known.get(path);
    if (known?.stamp === stamp) return { ok: true, value: known.header };
    const read = await readLocalHeader(path, signal);
    if (read.ok) this.#known.set(path, { stamp, header: read.value });
    return read;
  }
}
