import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  downloadFile,
  downloadOptions,
  partialOf,
  sizeOf,
  type DownloadOptions,
} from '../download/file.ts';
import { locked } from '../download/lock.ts';
import { cancelled, type Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';
import {
  addressOf,
  bytesOf,
  type Hub,
  type HubFile,
  type HubModel,
  type Repository,
} from './hub.ts';
import { blobOf, isThere, lockOf, publish, snapshotOf } from './hubCache.ts';

export interface ModelDownload {
  readonly hub: Hub;
  readonly repository: Repository;
  readonly model: HubModel;
  /** The hub's cache folder. */
  readonly cache: string;
  readonly options?: DownloadOptions;
}

/** Told how far all files of a model are, in bytes. */
export type OnBytes = (done: number, total: number) => void;

/**
 * Brings all files of a model into the cache, each checked against the hash that the hub has of it. What has arrived is kept
 * when it fails or is cancelled. Resolves to the path of the first file, which is the model's.
 */
export async function downloadModel(
  { hub, repository, model, cache, options = downloadOptions }: ModelDownload,
  onBytes: OnBytes,
  signal: AbortSignal,
): Promise<Result<string, Failure>> {
  const total = bytesOf(model);
  try {
    const lacking = await missingBytes(cache, repository, model.files);
    const blobs = dirname(blobOf(cache, repository, model.files[0] ?? noFile));
    await mkdir(blobs, { recursive: true });
    const free = await options.freeBytes(blobs);
    if (lacking > free) {
      const message = `${model.file} needs ${gigabytes(lacking)} more in ${cache}, where ${gigabytes(free)} are free. Make room there, or move the folder (HF_HOME).`;
      return fail({ code: 'WRITE_FAILED', message });
    }
    let before = 0;
    for (const file of model.files) {
      const done = await downloadOne(
        { hub, repository, cache, options },
        file,
        (bytes) => {
          onBytes(before + bytes, total);
        },
        signal,
      );
      if (!done.ok) return done;
      before += file.bytes;
      onBytes(before, total);
    }
    return succeed(snapshotOf(cache, repository, { name: model.file }));
  } catch (error) {
    if (signal.aborted) return fail(cancelled);
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${model.file} cannot be written to ${cache}: ${reason}. Make room there, or correct the folder's permissions.`;
    return fail({ code: 'WRITE_FAILED', message });
  }
}

const noFile: HubFile = { name: '', bytes: 0, sha256: '' };

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** What is still to be downloaded of files. */
export async function missingBytes(
  cache: string,
  repository: Repository,
  files: readonly HubFile[],
): Promise<number> {
  const missing = files.map(async (file) => {
    if (await isThere(cache, repository, file)) return 0;
    const blob = blobOf(cache, repository, file);
    if ((await sizeOf(blob)) === file.bytes) return 0;
    return Math.max(0, file.bytes - ((await sizeOf(partialOf(blob))) ?? 0));
  });
  return (await Promise.all(missing)).reduce((sum, bytes) => sum + bytes, 0);
}

/** One file: by whoever comes first, the others wait for it. */
async function downloadOne(
  { hub, repository, cache, options }: Required<Omit<ModelDownload, 'model'>>,
  file: HubFile,
  onBytes: (done: number) => void,
  signal: AbortSignal,
): Promise<Result<void, Failure>> {
  if (await isThere(cache, repository, file)) return succeed(undefined);
  const blob = blobOf(cache, repository, file);
  const lock = lockOf(cache, repository, file);
  await mkdir(dirname(lock), { recursive: true });
  const lookOn = (): void => {
    void sizeOf(partialOf(blob)).then((bytes) => {
      if (bytes !== undefined) onBytes(Math.min(bytes, file.bytes));
    });
  };
  return locked(lock, signal, lookOn, async () => {
    if ((await sizeOf(blob)) !== file.bytes) {
      const { token } = hub;
      const done = await downloadFile(
        {
          name: file.name,
          url: addressOf(hub, repository, file.name),
          ...(token === undefined ? {} : { token }),
          path: blob,
          bytes: file.bytes,
          hash: { algorithm: 'sha256', encoding: 'hex', digest: file.sha256 },
          signal,
          onProgress: onBytes,
        },
        options,
      );
      if (!done.ok) return done;
    }
    await publish(cache, repository, file);
    return succeed(undefined);
  });
}
