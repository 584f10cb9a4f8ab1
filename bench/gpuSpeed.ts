/** Our caches on a GPU: that they compute what the CPU computes, and how fast next to llama.cpp's. */
import type { CacheOptions, GpuSearch } from '../sidecar/engine/addon.ts';
import { failureOf } from '../sidecar/engine/failure.ts';
import type { LoadedAddon } from '../sidecar/engine/load.ts';
import { bundledModel } from '../test/fixtures/models/generate.ts';
import { onEngine, type OurContender } from './contender.ts';
import { Predictions } from './divergence.ts';
import { anyTokens, loadEngine, ours, stock } from './engine.ts';
import { progress, rowOf, type Row } from './harness.ts';
import { runRound, takeTurn, type Round } from './rounds.ts';

export interface GpuBenchmark {
  readonly loaded: LoadedAddon;
  readonly gpu: GpuSearch;
  readonly modelPath: string;
  /** Tokens in the cache, ascending. */
  readonly depths: readonly number[];
  readonly decode: Round;
  readonly prefill: Round;
  readonly rounds: number;
  /** Tokens of the check: the second half of them is compared. */
  readonly checkedTokens: number;
  readonly selects: (caseName: string) => boolean;
}

/** On a GPU llama.cpp's quantised caches need flash attention, and it is the faster way for all. */
const baselines = [...stock].filter(([, { flashAttention }]) => flashAttention);

/**
 * A row for every cache's divergence from the CPU; then, where all of them are small, rows of decode and prefill against
 * llama.cpp's caches, two models in memory at a time.
 */
export async function* measureGpu(benchmark: GpuBenchmark): AsyncGenerator<Row> {
  const { selects } = benchmark;
  for (const [name, cache] of ours) {
    const what = { case: `gpu/check/${name}`, unit: 'nats', better: 'lower' } as const;
    if (!selects(what.case)) continue;
    progress(`comparing ${name} with the CPU`);
    const row = rowOf(what, [await divergenceFromCpu(benchmark, cache)]);
    yield row;
    // Figures of the speed of something else mean nothing.
    if (!(row.value <= (row.must ?? Number.NaN)))
      throw new Error(`${name} on the GPU is ${row.value} nats away from the CPU: not measured`);
  }
  const longest = await trainedTokens(benchmark);
  const depths = benchmark.depths.filter((depth) => depth + mostAppended(benchmark) <= longest);
  for (const [name, cache] of ours)
    for (const [baseline, other] of baselines)
      yield* comparePair({ ...benchmark, depths }, [name, cache], [baseline, other]);
}

const mostAppended = ({ decode, prefill }: GpuBenchmark): number =>
  Math.max(decode.tokens, prefill.tokens);

async function trainedTokens(benchmark: GpuBenchmark): Promise<number> {
  const engine = await onGpu(benchmark, { policy: 'full' }, 256);
  await engine.close();
  return engine.info.trainedTokens;
}

/** Mean over positions, with the bundled model, which fits everywhere. */
async function divergenceFromCpu(
  { loaded, gpu, checkedTokens }: GpuBenchmark,
  cache: CacheOptions,
): Promise<number> {
  const choice = { modelPath: bundledModel, cache, threads: 1, contextTokens: checkedTokens };
  const tokens = anyTokens(checkedTokens);
  const half = checkedTokens / 2;
  const logits: Float32Array[] = [];
  for (const where of [{}, { gpu }]) {
    const engine = await loadEngine({ ...choice, ...where }, loaded);
    try {
      await engine.evaluate(tokens.subarray(0, half), 'last').result;
      logits.push(await engine.evaluate(tokens.subarray(half), 'all').result);
    } finally {
      await engine.close();
    }
  }
  const [onCpu = new Float32Array(), onGpu = new Float32Array()] = logits;
  const predictions = new Predictions(onCpu.length / half);
  predictions.add(onCpu, onGpu);
  return predictions.divergence().mean;
}

type Named = readonly [name: string, cache: CacheOptions];

async function* comparePair(
  benchmark: GpuBenchmark,
  [name, cache]: Named,
  [baseline, other]: Named,
): AsyncGenerator<Row> {
  const { depths, decode, prefill, selects } = benchmark;
  const caseOf = (kind: string, depth: number): string =>
    `gpu/${kind}/${name}/depth=${depth}/baseline=${baseline}`;
  const kinds = Object.entries({ decode, prefill });
  const chosen = depths.filter((depth) => kinds.some(([kind]) => selects(caseOf(kind, depth))));
  if (chosen.length === 0) return;
  const pair = await loadPair(benchmark, chosen, [
    [name, cache],
    [baseline, other],
  ]);
  try {
    for (const depth of chosen) {
      for (const [kind, round] of kinds) {
        if (!selects(caseOf(kind, depth))) continue;
        progress(`${kind} of ${name} and ${baseline} at ${depth}`);
        const speeds = await samplePair(pair, depth, round, benchmark.rounds);
        const samples = (who: string): readonly number[] => speeds.get(who) ?? [];
        const what = { case: caseOf(kind, depth), unit: 'tokens/s', better: 'higher' } as const;
        yield rowOf(what, samples(name), { name: baseline, samples: samples(baseline) });
      }
    }
  } finally {
    for (const contender of pair.values()) await contender.close();
  }
}

/** Takes the deepest depths out of `depths` as long as the GPU has no memory for both models there. */
async function loadPair(
  benchmark: GpuBenchmark,
  depths: number[],
  pair: readonly Named[],
): Promise<ReadonlyMap<string, OurContender>> {
  const loaded = new Map<string, OurContender>();
  for (; depths.length > 0; depths.pop()) {
    const deepest = depths.at(-1) ?? 0;
    try {
      for (const [name, cache] of pair) {
        const engine = await onGpu(benchmark, cache, deepest + mostAppended(benchmark));
        loaded.set(name, onEngine(engine));
      }
      return loaded;
    } catch (error) {
      for (const contender of loaded.values()) await contender.close();
      loaded.clear();
      if (failureOf(error).code !== 'OUT_OF_MEMORY') throw error;
      progress(
        `SKIPPED depth ${deepest} of ${pair.map(([name]) => name).join(' and ')}: no memory`,
      );
    }
  }
  return loaded;
}

const onGpu = (
  { loaded, gpu, modelPath }: GpuBenchmark,
  cache: CacheOptions,
  contextTokens: number,
): ReturnType<typeof loadEngine> =>
  loadEngine({ modelPath, cache, threads: 1, contextTokens, gpu }, loaded);

/** Tokens per second of every round, after a turn that does not count. */
async function samplePair(
  pair: ReadonlyMap<string, OurContender>,
  depth: number,
  round: Round,
  rounds: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const entrants = new Map([...pair].map(([name, contender]) => [name, { contender, depth }]));
  for (const contender of pair.values()) {
    await contender.goTo(depth);
    await takeTurn(contender, round);
  }
  const speeds = new Map([...pair.keys()].map((name): [string, number[]] => [name, []]));
  for (let index = 0; index < rounds; index++)
    for (const [name, seconds] of await runRound(entrants, round))
      speeds.get(name)?.push(round.tokens / seconds);
  return speeds;
}
