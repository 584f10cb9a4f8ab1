import type { Gpu } from './addon.ts';
import { failureOf, type Failure } from './failure.ts';
import type { LoadedAddon } from './load.ts';
import { fail, succeed, type Result } from '../result.ts';

/** The first GPU, or why there is none. */
export async function seeGpu(
  loadAddon: () => Result<LoadedAddon, Failure>,
): Promise<Result<Gpu, Failure>> {
  const loaded = loadAddon();
  if (!loaded.ok) return loaded;
  try {
    return succeed(await loaded.value.addon.gpu());
  } catch (error) {
    return fail(failureOf(error));
  }
}
