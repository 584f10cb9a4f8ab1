/** Tokens per second of our caches against llama.cpp's, with so many tokens already in the cache. */
import type { NativeEngine } from '../sidecar/engine/addon.ts';
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { anyTokens, goTo, loadEngine, ours, stock } from './engine.ts';
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
  /** Which of `stock` to run. */
  readonly against: readonly string[];
  /** The ratio that is asked of a cache. */
  readonly must: (cache: string, depth: number) => number | undefined;
}

/**
 * A row per cache of ours and depth, as a ratio to llama.cpp's fastest configuration at that depth,
 * and a row without a baseline for every configuration of llama.cpp.
 */
export async function* measureSpeed(
  { name, depths, rounds, tokens, batch, against, must }: SpeedBenchmark,
  { threads, selects }: Options,
): AsyncGenerator<Row> {
  const caseOf = (cache: string, depth: number): string => `${name}/${cache}/depth=${depth}`;
  const selected = (cache: string): readonly number[] =>
    depths.filter((depth) => selects(caseOf(cache, depth)));
  const caches = [...ours, ...stock].filter(
    ([cache]) => against.includes(cache) || (ours.has(cache) && selected(cache).length > 0),
  );
  const contextTokens = (depths.at(-1) ?? 0) + tokens;
  const text = anyTokens(contextTokens);
  const engines = new Map<string, NativeEngine>();
  try {
    for (const [cache, options] of caches)
      engines.set(
        cache,
        await loadEngine(modelFile(benchmarkModel), options, threads, contextTokens),
      );

    for (const depth of depths.filter((depth) =>
      [...ours.keys()].some((cache) => selected(cache).includes(depth)),
    )) {
      const samplers = new Map<string, () => Promise<number>>();
      for (const [cache, engine] of engines) {
        if (ours.has(cache) && !selected(cache).includes(depth)) continue;
        progress(`filling ${cache} to ${depth} tokens`);
        await goTo(engine, text, depth);
        samplers.set(cache, () => sampleSpeed(engine, text, depth, tokens, batch));
      }
      const samples = await sampleInTurn(rounds, samplers);
      yield* rowsOf(samples, depth);
    }
  } finally {
    for (const engine of engines.values()) await engine.close();
  }

  function* rowsOf(samples: ReadonlyMap<string, readonly number[]>, depth: number): Iterable<Row> {
    const what = (cache: string) =>
      ({ case: caseOf(cache, depth), unit: 'tokens/s', better: 'higher' }) as const;
    const theirs = [...samples].filter(([cache]) => stock.has(cache));
    const best = theirs.reduce((a, b) => (median(b[1]) > median(a[1]) ? b : a));
    for (const [cache, values] of samples) {
      if (stock.has(cache)) {
        yield rowOf(what(cache), values);
        continue;
      }
      const least = must(cache, depth);
      const asked = least === undefined ? {} : { must: least };
      yield rowOf({ ...what(cache), ...asked }, values, { name: best[0], samples: best[1] });
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
