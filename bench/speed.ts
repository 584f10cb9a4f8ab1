/** Tokens per second of our caches against llama.cpp's, with so many tokens already in the cache. */
import type { NativeEngine } from '../sidecar/engine/addon.ts';
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { anyTokens, goTo, loadEngine, ours, stock, stockBest } from './engine.ts';
import { median, progress, rowOf, sampleInTurn, type Options, type Row } from './harness.ts';

export interface SpeedBenchmark {
  /** First part of the cases' names. */
  readonly name: string;
  /** Ascending, so that every engine is filled only once. */
  readonly depths: readonly number[];
  readonly rounds: number;
  /** Tokens that a sample appends, and how many of them at a time. */
  readonly tokens: number;
  readonly batch: number;
  /** Beyond this depth only llama.cpp's best configuration is run: the others take too long. */
  readonly deepestForAll: number;
  /** The ratio that is asked of our caches, by depth. */
  readonly must: ReadonlyMap<number, number>;
}

/**
 * A row per cache of ours and depth, as a ratio to llama.cpp's fastest configuration at that depth,
 * and a row without a baseline for every configuration of llama.cpp.
 */
export async function* measureSpeed(
  { name, depths, rounds, tokens, batch, deepestForAll, must }: SpeedBenchmark,
  { quick, threads, selects }: Options,
): AsyncGenerator<Row> {
  const caseOf = (cache: string, depth: number): string => `${name}/${cache}/depth=${depth}`;
  /** The caches to sample at a depth: those of ours that are selected, and what to compare them with. */
  const cachesAt = (depth: number): readonly string[] => {
    const selected = [...ours.keys()].filter((cache) => selects(caseOf(cache, depth)));
    if (selected.length === 0) return [];
    const others = quick || depth > deepestForAll ? [stockBest] : [...stock.keys()];
    return [...selected, ...others];
  };

  const contextTokens = (depths.at(-1) ?? 0) + tokens;
  const text = anyTokens(contextTokens);
  const modelPath = modelFile(benchmarkModel);
  const engines = new Map<string, NativeEngine>();
  try {
    for (const depth of depths) {
      const samplers = new Map<string, () => Promise<number>>();
      for (const cache of cachesAt(depth)) {
        const options = ours.get(cache) ?? stock.get(cache);
        if (!options) throw new Error(`no cache is called ${cache}`);
        const engine =
          engines.get(cache) ?? (await loadEngine(modelPath, options, threads, contextTokens));
        engines.set(cache, engine);
        progress(`filling ${cache} to ${depth} tokens`);
        await goTo(engine, text, depth);
        samplers.set(cache, () => sampleSpeed(engine, text, depth, tokens, batch));
      }
      yield* rowsOf(await sampleInTurn(rounds, samplers), depth);
    }
  } finally {
    for (const engine of engines.values()) await engine.close();
  }

  function* rowsOf(samples: ReadonlyMap<string, readonly number[]>, depth: number): Iterable<Row> {
    const theirs = [...samples].filter(([cache]) => stock.has(cache));
    const [first, ...rest] = theirs.map(([cache, values]) => ({ name: cache, samples: values }));
    if (!first) return;
    const best = rest.reduce((a, b) => (median(b.samples) > median(a.samples) ? b : a), first);
    const asked = must.has(depth) ? { must: must.get(depth) ?? 0 } : {};
    for (const [cache, values] of samples) {
      const what = { case: caseOf(cache, depth), unit: 'tokens/s', better: 'higher' } as const;
      if (stock.has(cache)) yield rowOf(what, values);
      else yield rowOf({ ...what, ...asked }, values, best);
    }
  }
}

/** Appends `tokens` at `depth`, takes them back and resolves to tokens per second. */
async function sampleSpeed(
  engine: NativeEngine,
  text: Int32Array,
  depth: number,
  tokens: number,
  batch: number,
): Promise<number> {
  const start = performance.now();
  for (let at = depth; at < depth + tokens; at += batch)
    await engine.evaluate(text.subarray(at, Math.min(at + batch, depth + tokens)), 'last').result;
  const seconds = (performance.now() - start) / 1000;
  await goTo(engine, text, depth);
  return tokens / seconds;
}
