import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar';
import type { Gpu } from '../engine/addon.ts';
import type { Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';
import { folderOf, runtimePackages, type RuntimePackage } from './packages.ts';

/** The package for a GPU: of the newest CUDA that its driver knows. */
export function packageFor(
  gpu: Gpu,
  platform = `${process.platform}-${process.arch}`,
): Result<RuntimePackage, Failure> {
  const known = runtimePackages[platform] ?? [];
  const fitting = known.find(({ cudaVersion }) => cudaVersion <= Number.parseInt(gpu.cuda, 10));
  if (fitting !== undefined) return succeed(fitting);
  const message =
    known.length === 0
      ? `There is no GPU runtime for ${platform}: models run on the CPU.`
      : `NVIDIA's driver is for CUDA ${gpu.cuda}, and CUDA ${known.at(-1)?.cudaVersion ?? 0} or newer is needed. Install a newer driver.`;
  return fail({ code: 'GPU_UNAVAILABLE', message });
}

export interface Installation {
  readonly package: RuntimePackage;
  /** Gets a folder for the package in it. */
  readonly folder: string;
  /** Address of an npm registry. */
  readonly registry: string;
}

/** The registry that npm is told to use in this environment, or npm's own. */
export const registryOf = (env: NodeJS.ProcessEnv = process.env): string =>
  (env['npm_config_registry'] ?? 'https://registry.npmjs.org').replace(/\/+$/, '');

/**
 * Downloads a package and takes its library out of it: whole, checked against the pinned hash, or not at all. Resolves
 * to the library's path. `onProgress` gets the share downloaded, where the registry says how much it is.
 */
export async function installRuntime(
  { package: wanted, folder, registry }: Installation,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Result<string, Failure>> {
  const target = join(folder, folderOf(wanted));
  const library = join(target, wanted.file);
  if (existsSync(library)) return succeed(library);
  const partial = `${target}.${process.pid}.partial`;
  try {
    await mkdir(partial, { recursive: true });
    const digest = await download(wanted, registry, partial, onProgress, signal);
    if (!digest.ok) return digest;
    if (digest.value !== wanted.sha512) {
      return fail({
        code: 'DOWNLOAD_FAILED',
        message: `What ${registry} sent is not the package that Sightline was made for (its hash is another one); nothing of it was kept. Try again, or use another registry (npm_config_registry).`,
      });
    }
    if (!existsSync(join(partial, wanted.file))) {
      return fail({
        code: 'DOWNLOAD_FAILED',
        message: `${wanted.name} ${wanted.version} has no ${wanted.file}. Update Sightline.`,
      });
    }
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
    return succeed(library);
  } catch (error) {
    return fail(failureOf(error, folder, registry, signal));
  } finally {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Unpacks the library while the archive arrives. Resolves to the archive's hash. */
async function download(
  { name, version, file }: RuntimePackage,
  registry: string,
  folder: string,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Result<string, Failure>> {
  const url = `${registry}/@node-llama-cpp/${name}/-/${name}-${version}.tgz`;
  const response = await fetch(url, { signal });
  if (!response.ok || response.body === null) {
    return fail({
      code: 'DOWNLOAD_FAILED',
      message: `${url} answered ${response.status} ${response.statusText}. Try again later, or use another registry (npm_config_registry).`,
    });
  }
  const total = Number(response.headers.get('content-length') ?? 0);
  const hash = createHash('sha512');
  let received = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      received += chunk.length;
      if (total > 0) onProgress(received / total);
      done(null, chunk);
    },
  });
  const library = `package/${file}`;
  await pipeline(
    Readable.fromWeb(response.body as ReadableStream<Uint8Array>),
    measure,
    extract({ cwd: folder, strip: 1, strict: true, filter: (path) => path === library }),
    { signal },
  );
  return succeed(hash.digest('base64'));
}

const ofTheDisk = new Set([
  ...['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EIO', 'ENOTDIR', 'EEXIST'],
]);

function failureOf(error: unknown, folder: string, registry: string, signal: AbortSignal): Failure {
  if (signal.aborted) return { code: 'ABORTED', message: 'The installation was cancelled.' };
  const reason = error instanceof Error ? error.message : String(error);
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  if (typeof code === 'string' && ofTheDisk.has(code)) {
    return {
      code: 'WRITE_FAILED',
      message: `The GPU runtime cannot be written to ${folder}: ${reason}. Make room there (about 300 MB), or correct the folder's permissions.`,
    };
  }
  return {
    code: 'DOWNLOAD_FAILED',
    message: `The GPU runtime cannot be downloaded from ${registry}: ${reason}. Check the connection, or use another registry (npm_config_registry).`,
  };
}
