import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { cacheFolder } from '../cacheFolder.ts';
import type { SightlineSettings } from '../protocol.ts';
import type { GpuSearch } from '../engine/addon.ts';
import { folderOf, runtimePackages } from './packages.ts';

/** The machine that is searched; in tests another one. */
export interface Machine {
  readonly platform: string;
  readonly env: NodeJS.ProcessEnv;
  readonly home: string;
}

const thisMachine = (): Machine => ({
  platform: `${process.platform}-${process.arch}`,
  env: process.env,
  home: homedir(),
});

/** Where "Install GPU Runtime" puts the packages. */
export const gpuRuntimeFolder = (cache = cacheFolder()): string => join(cache, 'gpu');

/** What the addon is told to look for; undefined: no GPU is wanted, or none can be on this platform. */
export function gpuSearch(
  { use, layers, cudaPath }: SightlineSettings['gpu'],
  machine = thisMachine(),
): GpuSearch | undefined {
  const known = runtimePackages[machine.platform];
  if (use === 'off') return undefined;
  if (known === undefined) {
    // Somebody who insists is told that there is none.
    return use === 'required'
      ? { required: true, layers, backends: [], toolkitFolders: [] }
      : undefined;
  }
  const runtime = gpuRuntimeFolder(cacheFolder(machine.env, 'linux', machine.home));
  return {
    required: use === 'required',
    layers,
    backends: known.map((one) => ({
      path: join(runtime, folderOf(one), one.file),
      cudaVersion: one.cudaVersion,
    })),
    toolkitFolders: toolkitFolders(cudaPath, machine),
  };
}

/** Folders that may hold CUDA's libraries, those that exist: what the user says comes first. */
function toolkitFolders(cudaPath: string, { env, home }: Machine): string[] {
  const { CUDA_PATH: path = '', CUDA_HOME: chosen = '', VIRTUAL_ENV: python = '' } = env;
  const prefixes = [
    ...[cudaPath, path, chosen].filter(Boolean),
    ...expand('/usr/local', 'cuda*').sort().reverse(),
    ...expand('/opt', 'cuda*').sort().reverse(),
  ];
  const sitePackages = [
    ...(python === '' ? [] : expand(python, 'lib', 'python3*', 'site-packages')),
    ...expand(home, '.local', 'lib', 'python3*', 'site-packages'),
    ...expand('/usr/local/lib', 'python3*', 'dist-packages'),
    ...(env['PYTHONPATH'] ?? '').split(delimiter).filter(Boolean),
  ];
  const folders = [
    ...prefixes.flatMap((prefix) => [prefix, join(prefix, 'lib64'), join(prefix, 'lib')]),
    // NVIDIA's packages for Python: one for each library up to CUDA 12, one for all from 13 on.
    ...sitePackages.flatMap((folder) => expand(folder, 'nvidia', '*', 'lib')),
    '/usr/lib/x86_64-linux-gnu',
    '/usr/lib64',
  ];
  return [...new Set(folders)].filter((folder) => existsSync(folder));
}

/** The folders that a path leads to; `*` at the end of a part stands for any ending. */
function expand(start: string, ...parts: readonly string[]): string[] {
  const [part, ...rest] = parts;
  if (part === undefined) return [start];
  if (!part.endsWith('*')) return expand(join(start, part), ...rest);
  let names: string[];
  try {
    names = readdirSync(start);
  } catch {
    return []; // not there
  }
  return names
    .filter((name) => name.startsWith(part.slice(0, -1)))
    .flatMap((name) => expand(join(start, name), ...rest));
}
