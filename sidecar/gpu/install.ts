import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { extract } from 'tar';
import {
  downloadFile,
  downloadOptions,
  type DownloadOptions,
  type Wanted,
} from '../download/file.ts';
import { locked } from '../download/lock.ts';
import type { Gpu } from '../engine/addon.ts';
import { cancelled, type Failure } from '../engine/failure.ts';
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
 * to the library's path. `onProgress` gets the share downloaded, where the registry says how much it is. What has arrived
 * when it fails or is cancelled is kept for the next time.
 */
export async function installRuntime(
  { package: wanted, folder, registry }: Installation,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
  options: DownloadOptions = downloadOptions,
): Promise<Result<string, Failure>> {
  const target = join(folder, folderOf(wanted));
  const library = join(target, wanted.file);
  try {
    await mkdir(folder, { recursive: true });
    const wait = (): void => undefined;
    return await locked(`${target}.lock`, signal, wait, async () => {
      if (existsSync(library)) return succeed(library);
      const archive = `${target}.tgz`;
      const done = await downloadFile(
        archiveOf(wanted, registry, archive, onProgress, signal),
        options,
      );
      if (!done.ok) return fail(advised(done.error, registry));
      return unpack(wanted, archive, target);
    });
  } catch (error) {
    if (signal.aborted) return fail(cancelled);
    const reason = error instanceof Error ? error.message : String(error);
    return fail({
      code: 'WRITE_FAILED',
      message: `The GPU runtime cannot be written to ${folder}: ${reason}. Make room there (about 300 MB), or correct the folder's permissions.`,
    });
  }
}

function archiveOf(
  { name, version, sha512 }: RuntimePackage,
  registry: string,
  path: string,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Wanted {
  return {
    name: `${name} ${version}`,
    url: `${registry}/@node-llama-cpp/${name}/-/${name}-${version}.tgz`,
    path,
    hash: { algorithm: 'sha512', encoding: 'base64', digest: sha512 },
    signal,
    onProgress: (done, total) => {
      if (total !== undefined && total > 0) onProgress(done / total);
    },
  };
}

const advised = (failure: Failure, registry: string): Failure =>
  failure.code === 'DOWNLOAD_FAILED'
    ? {
        ...failure,
        message: `${failure.message} Asked was ${registry}; another registry can be set (npm_config_registry).`,
      }
    : failure;

/** Takes the library out of the archive, and the archive away. */
async function unpack(
  { name, version, file }: RuntimePackage,
  archive: string,
  target: string,
): Promise<Result<string, Failure>> {
  const partial = `${target}.partial`;
  const library = `package/${file}`;
  try {
    await mkdir(partial, { recursive: true });
    const filter = (path: string): boolean => path === library;
    await extract({ file: archive, cwd: partial, strip: 1, strict: true, filter });
    if (!existsSync(join(partial, file))) {
      const message = `${name} ${version} has no ${file}. Update Sightline.`;
      return fail({ code: 'DOWNLOAD_FAILED', message });
    }
    await rm(target, { recursive: true, force: true });
    await rename(partial, target);
    return succeed(join(target, file));
  } finally {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    await rm(archive, { force: true }).catch(() => undefined);
  }
}
