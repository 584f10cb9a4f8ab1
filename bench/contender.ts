/** What takes part in a benchmark of speed: a cache on a loaded model. */
import type { CacheOptions, NativeEngine } from '../sidecar/engine/addon.ts';
import { anyTokens, goTo, loadEngine, ours, stock, type StockOptions } from './engine.ts';
import { llamaLibraries, startNative } from './native.ts';

export interface Contender {
  /** Makes the cache hold `depth` tokens: fills it up, or takes back what was appended. */
  goTo(depth: number): Promise<void>;
  /** Appends so many tokens in one batch. */
  evaluate(tokens: number): Promise<void>;
  close(): Promise<void>;
}

export interface ContenderOptions {
  readonly modelPath: string;
  readonly threads: number;
  readonly contextTokens: number;
}

/** The contender of that name in `ours` or `stock`. */
export async function loadContender(name: string, options: ContenderOptions): Promise<Contender> {
  const cache = ours.get(name);
  if (cache) return loadOurs(cache, options);
  const stockCache = stock.get(name);
  if (stockCache) return loadStock(stockCache, options);
  throw new Error(`no cache is called ${name}`);
}

export interface OurContender extends Contender {
  readonly engine: NativeEngine;
}

export async function loadOurs(
  cache: CacheOptions,
  { modelPath, threads, contextTokens }: ContenderOptions,
): Promise<OurContender> {
  return onEngine(await loadEngine({ modelPath, cache, threads, contextTokens }));
}

/** A cache on an engine of the addon. */
export function onEngine(engine: NativeEngine): OurContender {
  const text = anyTokens(engine.info.contextTokens);
  return {
    engine,
    goTo: (depth) => goTo(engine, text, depth),
    evaluate: async (tokens) => {
      const { tokens: held } = engine.stats();
      await engine.evaluate(text.subarray(held, held + tokens), 'last').result;
    },
    close: () => engine.close(),
  };
}

/**
 * llama.cpp in a process of its own (bench/native/stock.cpp), which fills a deep cache in seconds:
 * a quantised one at 16 384 tokens takes up to an hour by evaluating them.
 */
async function loadStock(
  { type, flashAttention }: StockOptions,
  { modelPath, threads, contextTokens }: ContenderOptions,
): Promise<Contender> {
  const child = await startNative('stock', {
    model: modelPath,
    libraries: llamaLibraries(),
    type,
    'flash-attention': flashAttention ? 'on' : 'off',
    threads,
    context: contextTokens,
  });
  return {
    goTo: async (depth) => {
      await child.ask(`go ${depth}`);
    },
    evaluate: async (tokens) => {
      await child.ask(`evaluate ${tokens}`);
    },
    close: () => child.close(),
  };
}
