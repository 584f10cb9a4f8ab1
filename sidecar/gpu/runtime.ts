import { failureOf, type Failure } from '../engine/failure.ts';
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
  const loaded = loadAddon();
  if (!loaded.ok) return loaded;
  try {
    const gpu = await loaded.value.addon.gpu();
    const fitting = packageFor(gpu);
    if (!fitting.ok) return fitting;
    const installation = {
      package: fitting.value,
      folder: gpuRuntimeFolder(),
      registry: registryOf(),
    };
    const installed = await installRuntime(installation, onProgress, signal);
    if (!installed.ok) return installed;
    return succeed(
      `The runtime for ${gpu.name} (CUDA ${fitting.value.cudaVersion}) is in ${installation.folder}.`,
    );
  } catch (error) {
    return { ok: false, error: failureOf(error) };
  }
}
