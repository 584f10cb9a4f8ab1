import type { Failure } from '../engine/failure.ts';
import { seeGpu } from '../engine/gpu.ts';
import type { LoadedAddon } from '../engine/load.ts';
import { succeed, type Result } from '../result.ts';
import { installRuntime, packageFor, registryOf } from './install.ts';
import { gpuRuntimeFolder } from './search.ts';

/** Downloads what this machine's GPU needs. Resolves to a sentence for people. */
export async function installRuntimeHere(
  loadAddon: () => Result<LoadedAddon, Failure>,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<Result<string, Failure>> {
  const gpu = await seeGpu(loadAddon);
  if (!gpu.ok) return gpu;
  const fitting = packageFor(gpu.value);
  if (!fitting.ok) return fitting;
  const installation = {
    package: fitting.value,
    folder: gpuRuntimeFolder(),
    registry: registryOf(),
  };
  const installed = await installRuntime(installation, onProgress, signal);
  if (!installed.ok) return installed;
  const { name } = gpu.value;
  const { cudaVersion } = fitting.value;
  return succeed(`The runtime for ${name} (CUDA ${cudaVersion}) is in ${installation.folder}.`);
}
