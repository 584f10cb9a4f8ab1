import type { CompleteJob, NativeEngine } from '../../../sidecar/engine/addon.ts';
import type { LoadedAddon } from '../../../sidecar/engine/load.ts';

/** An addon whose engines have their completions made by `complete`, which gets the engine itself. */
export function withComplete(
  loaded: LoadedAddon,
  complete: (native: NativeEngine, ...given: Parameters<NativeEngine['complete']>) => CompleteJob,
): LoadedAddon {
  const { addon } = loaded;
  const wrapped = (native: NativeEngine): NativeEngine =>
    new Proxy(native, {
      get: (target, name) => {
        if (name === 'complete') return complete.bind(undefined, target);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  const load: typeof addon.load = (options, onProgress) => {
    const job = addon.load(options, onProgress);
    return { result: job.result.then(wrapped), abort: job.abort.bind(job) };
  };
  return { ...loaded, addon: { ...addon, load } };
}
