/** The caches that benchmarks compare, and engines that run on them. */
import type { CacheOptions, GpuSearch, NativeEngine } from '../sidecar/engine/addon.ts';
import { loadAddon, type LoadedAddon } from '../sidecar/engine/load.ts';
import { uniformStream } from '../sidecar/evaluation/random.ts';

/** Ours, by the names that their cases have. A row here is all that a further cache takes. */
export const ours: ReadonlyMap<string, CacheOptions> = new Map<string, CacheOptions>([
  ['full', { policy: 'full' }],
  ['int8', { policy: 'selective' }],
  ['k8v4', { policy: 'selective', tier: 'k8v4' }],
  ['int4', { policy: 'selective', tier: 'int4' }],
]);

export type StockOptions = Extract<CacheOptions, { readonly policy: 'stock' }>;

/** llama.cpp's own configurations. */
export const stock: ReadonlyMap<string, StockOptions> = new Map<string, StockOptions>([
  ['llama.cpp f16 fa=off', { policy: 'stock', type: 'f16', flashAttention: false }],
  ['llama.cpp f16 fa=on', { policy: 'stock', type: 'f16', flashAttention: true }],
  ['llama.cpp q8_0 fa=on', { policy: 'stock', type: 'q8_0', flashAttention: true }],
  ['llama.cpp q4_0 fa=on', { policy: 'stock', type: 'q4_0', flashAttention: true }],
]);

export interface EngineChoice {
  readonly modelPath: string;
  readonly cache: CacheOptions;
  readonly threads: number;
  /** 0: as many as the model was trained with. */
  readonly contextTokens: number;
  /** Absent: the CPU. */
  readonly gpu?: GpuSearch;
}

/** The addon of this checkout. */
export function addonHere(): LoadedAddon {
  const loaded = loadAddon();
  if (!loaded.ok) throw new Error(loaded.error.message);
  return loaded.value;
}

export async function loadEngine(
  choice: EngineChoice,
  { addon, librariesPath } = addonHere(),
): Promise<NativeEngine> {
  const options = { ...choice, librariesPath, cacheBudgetBytes: 0, selfCheck: false };
  return addon.load(options, () => undefined).result;
}

/** Ordinary tokens in no order: what they are does not change the speed. */
export function anyTokens(count: number): Int32Array {
  const next = uniformStream('tokens');
  return Int32Array.from({ length: count }, () => Math.floor(next() * 4000));
}

/** Makes the cache hold exactly the first `depth` tokens, evaluated in batches of 512. */
export async function goTo(engine: NativeEngine, tokens: Int32Array, depth: number): Promise<void> {
  let held = engine.stats().tokens;
  if (held > depth) held = await engine.truncate(depth);
  for (; held < depth; held = engine.stats().tokens)
    await engine.evaluate(tokens.subarray(held, Math.min(depth, held + 512)), 'last').result;
}
