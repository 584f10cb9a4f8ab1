import { existsSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Failure } from '../engine/failure.ts';
import { seeGpu } from '../engine/gpu.ts';
import type { LoadedAddon } from '../engine/load.ts';
import { gpuSearch } from '../gpu/search.ts';
import type { SightlineSettings } from '../protocol.ts';
import type { Result } from '../result.ts';

/** What there is for a model. All of it: the model before is freed before another is loaded. */
export interface Memory {
  /** Of the system, or what a container may use of it. */
  readonly bytes: number;
  readonly gpu?: {
    readonly name: string;
    readonly bytes: number;
    /** Whether the GPU runtime is installed: without it nothing runs there. */
    readonly ready: boolean;
  };
}

/** Of this machine, as far as the settings let models use it. */
export async function memoryHere(
  loadAddon: () => Result<LoadedAddon, Failure>,
  settings: SightlineSettings,
): Promise<Memory> {
  // 0: unknown, and above the machine's where there is no limit.
  const constrained = process.constrainedMemory();
  const bytes = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  const search = gpuSearch(settings.gpu);
  const gpu = search === undefined ? undefined : await seeGpu(loadAddon);
  if (search === undefined || gpu?.ok !== true) return { bytes };
  const ready = search.backends.some(({ path }) => existsSync(path));
  return { bytes, gpu: { name: gpu.value.name, bytes: gpu.value.totalBytes, ready } };
}
