import { createHash, type Hash } from 'node:crypto';
import { open, rename, stat, statfs, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cancelled, type Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';
import {
  ask,
  causeOf,
  chunksOf,
  patience,
  waitForNext,
  type HttpRequest,
  type Patience,
  type Refusal,
} from './http.ts';

/** A file that is wanted, whole and with this hash, or not at all. */
export interface Wanted {
  /** For messages. */
  readonly name: string;
  readonly url: string;
  readonly token?: string;
  /** Where it goes, in a folder that is there. What has arrived of it lies beside it, with the ending `.incomplete`. */
  readonly path: string;
  /** Absent: the server says it. */
  readonly bytes?: number;
  readonly hash: {
    readonly algorithm: 'sha256' | 'sha512';
    readonly encoding: 'hex' | 'base64';
    readonly digest: string;
  };
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number | undefined) => void;
}

/** What of the system a download uses; tests have others. */
export interface DownloadOptions extends Patience {
  readonly openFile: typeof open;
  /** Bytes that a folder has room for. */
  readonly freeBytes: (folder: string) => Promise<number>;
}

export const downloadOptions: DownloadOptions = {
  ...patience,
  openFile: open,
  freeBytes: async (folder) => {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
};

/** Left free on the disk. */
const spareBytes = 64 * 2 ** 20;

export const partialOf = (path: string): string => `${path}.incomplete`;

export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch {
    return undefined;
  }
}

/** What has arrived, and its hash. */
interface Arrived {
  readonly file: FileHandle;
  bytes: number;
  hash: Hash;
}

/**
 * Downloads a file, going on from what an earlier try has left. Cancelling or failing keeps what has arrived, but where it is
 * not what was wanted. The caller sees to it that nobody else does the same.
 */
export async function downloadFile(
  wanted: Wanted,
  options: DownloadOptions = downloadOptions,
): Promise<Result<void, Failure>> {
  const partial = partialOf(wanted.path);
  try {
    const missing = (wanted.bytes ?? 0) - ((await sizeOf(partial)) ?? 0);
    const free = await options.freeBytes(dirname(wanted.path));
    if (wanted.bytes !== undefined && missing > 0 && free < missing + spareBytes) {
      return fail({
        code: 'WRITE_FAILED',
        message: `${wanted.name} needs ${gigabytes(missing)} more in ${dirname(wanted.path)}, where ${gigabytes(free)} are free. Make room there.`,
      });
    }
    // Kept where it is there, made where it is not: "a+" reads, and writes at the end.
    const file = await options.openFile(partial, 'a+');
    let outcome: Result<void, Failure>;
    try {
      outcome = await fill(wanted, file, options);
      if (outcome.ok) await file.sync();
    } finally {
      await file.close();
    }
    if (outcome.ok) await rename(partial, wanted.path);
    return outcome;
  } catch (error) {
    if (wanted.signal.aborted) return fail(cancelled);
    const reason = error instanceof Error ? error.message : String(error);
    return fail({
      code: 'WRITE_FAILED',
      message: `${wanted.name} cannot be written to ${dirname(wanted.path)}: ${reason}. Make room there, or correct the folder's permissions; what has arrived is kept.`,
    });
  }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

async function fill(
  wanted: Wanted,
  file: FileHandle,
  options: DownloadOptions,
): Promise<Result<void, Failure>> {
  const arrived: Arrived = { file, bytes: 0, hash: createHash(wanted.hash.algorithm) };
  await hashWhatIsThere(arrived, wanted);
  // A try that brought something new does not count.
  for (let attempt = 0; ; attempt++) {
    const before = arrived.bytes;
    const outcome = await transfer(wanted, arrived, options);
    if (outcome.ok) return await check(wanted, arrived);
    const { again, afterMs, ...failure } = outcome.error;
    if (arrived.bytes > before) attempt = 0;
    if (wanted.signal.aborted) break;
    if (!again || attempt >= options.retries) return fail(failure);
    const told = afterMs === undefined ? {} : { afterMs };
    if (!(await waitForNext(told, attempt, options, wanted.signal))) break;
  }
  return fail(cancelled);
}

async function startAnew(arrived: Arrived, { hash }: Wanted): Promise<void> {
  await arrived.file.truncate(0);
  arrived.bytes = 0;
  arrived.hash = createHash(hash.algorithm);
}

/** Reads what an earlier try left; more than is wanted is of something else. */
async function hashWhatIsThere(arrived: Arrived, wanted: Wanted): Promise<void> {
  const { size } = await arrived.file.stat();
  if (wanted.bytes !== undefined && size > wanted.bytes) return startAnew(arrived, wanted);
  const buffer = Buffer.alloc(2 ** 20);
  while (arrived.bytes < size && !wanted.signal.aborted) {
    const { bytesRead } = await arrived.file.read(buffer, 0, buffer.length, arrived.bytes);
    if (bytesRead === 0) break;
    arrived.hash.update(buffer.subarray(0, bytesRead));
    arrived.bytes += bytesRead;
  }
}

/** One request for what is missing. Resolves when all is there. */
async function transfer(
  wanted: Wanted,
  arrived: Arrived,
  { idleMs }: DownloadOptions,
): Promise<Result<void, Refusal>> {
  if (arrived.bytes === wanted.bytes) return succeed(undefined);
  const { url, token, signal } = wanted;
  const request: HttpRequest = {
    url,
    signal,
    ...(token === undefined ? {} : { token }),
    ...(arrived.bytes === 0 ? {} : { headers: { range: `bytes=${arrived.bytes}-` } }),
  };
  const asked = await ask(request, { idleMs });
  if (!asked.ok) return asked;
  const { response, first } = asked.value;
  const told = linkedDigest(first);
  if (told !== undefined && wanted.hash.algorithm === 'sha256' && told !== wanted.hash.digest) {
    await response.body?.cancel();
    return refuse(wanted, 'it has changed on the server', false);
  }
  if (response.status === 416) {
    await response.body?.cancel();
    // What is there is no beginning of it; if nothing is, the server is confused.
    const again = arrived.bytes > 0;
    await startAnew(arrived, wanted);
    return refuse(wanted, 'the server cannot go on where it was', again);
  }
  const range = rangeOf(response);
  const total = range?.total ?? (range === undefined ? lengthOf(response) : undefined);
  if (wanted.bytes !== undefined && total !== undefined && total !== wanted.bytes) {
    await response.body?.cancel();
    return refuse(wanted, `the server has ${total} bytes of it, not ${wanted.bytes}`, false);
  }
  // A server that knows no ranges sends all of it.
  if ((range?.from ?? 0) !== arrived.bytes) await startAnew(arrived, wanted);
  if ((range?.from ?? 0) !== arrived.bytes) {
    await response.body?.cancel();
    return refuse(wanted, 'the server sent another part of it', false);
  }
  const whole = wanted.bytes ?? total;
  try {
    for await (const chunk of chunksOf(response, idleMs, signal)) {
      if (whole !== undefined && arrived.bytes + chunk.length > whole) {
        await startAnew(arrived, wanted);
        return refuse(wanted, 'the server sent more than it said', false);
      }
      await write(arrived, chunk);
      wanted.onProgress(arrived.bytes, whole);
    }
  } catch (error) {
    if (error instanceof WriteError) throw error.cause;
    return refuse(wanted, causeOf(error), true);
  }
  return whole === undefined || arrived.bytes === whole
    ? succeed(undefined)
    : refuse(wanted, 'the connection broke off', true);
}

class WriteError extends Error {}

async function write(arrived: Arrived, chunk: Uint8Array): Promise<void> {
  try {
    await arrived.file.appendFile(chunk);
  } catch (error) {
    throw new WriteError('', { cause: error });
  }
  arrived.hash.update(chunk);
  arrived.bytes += chunk.length;
}

async function check(wanted: Wanted, arrived: Arrived): Promise<Result<void, Failure>> {
  if (arrived.hash.digest(wanted.hash.encoding) === wanted.hash.digest) return succeed(undefined);
  await startAnew(arrived, wanted);
  return fail({
    code: 'DOWNLOAD_FAILED',
    message: `What arrived of ${wanted.name} is not what was published (its hash is another one); nothing of it was kept. Try again, or use another server.`,
  });
}

function refuse({ name }: Wanted, reason: string, again: boolean): Result<never, Refusal> {
  const message = `${name} cannot be downloaded: ${reason}. What has arrived is kept; try again to go on from there.`;
  return fail({ code: 'DOWNLOAD_FAILED', message, again });
}

/** The hash that the hub has of a large file. */
function linkedDigest(headers: Headers): string | undefined {
  const tag = headers.get('x-linked-etag')?.replace(/^W\//, '').replaceAll('"', '');
  return tag !== undefined && /^[0-9a-f]{64}$/.test(tag) ? tag : undefined;
}

function rangeOf(response: Response): { from: number; total: number | undefined } | undefined {
  if (response.status !== 206) return undefined;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  const total = range?.[2] === '*' ? undefined : Number(range?.[2]);
  return { from: Number(range?.[1]), total };
}

function lengthOf({ headers }: Response): number | undefined {
  const length = headers.get('content-length');
  return length === null ? undefined : Number(length);
}
