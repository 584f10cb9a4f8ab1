/** Tokens per second of our caches against llama.cpp's, with so many tokens already in the cache. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { loadContender, type Contender } from './contender.ts';
import { ours, stock } from './engine.ts';
import { progress, rowOf, type Options, type Row } from './harness.ts';
import { runRound, takeTurn, type Entrant, type Round } from './rounds.ts';
import { median } from '../sidecar/evaluation/statistics.ts';

/** A comparison with another cache than the best of llama.cpp's. */
export interface Comparison {
  readonly cache: string;
  readonly depth: number;
  readonly baseline: string;
}

export interface SpeedBenchmark {
  /** First part of the cases' names. */
  readonly name: string;
  /** Ascending, so that every contender is filled only once. */
  readonly depths: readonly number[];
  readonly round: Round;
  readonly rounds: number;
  /** Rounds for configurations of llama.cpp that are much slower than its best. */
  readonly slowRounds: number;
  readonly comparisons: readonly Comparison[];
}

/** What is much slower: as many times the seconds of the fastest. */
const muchSlower = 1.5;

/**
 * At every depth: a row per cache of ours, as a ratio to llama.cpp's fastest configuration there; a
 * row per further comparison; and a row without a baseline per configuration of llama.cpp.
 */
export async function* measureSpeed(
  benchmark: SpeedBenchmark,
  { threads, selects }: Options,
): AsyncGenerator<Row> {
  const { name, depths, round, comparisons } = benchmark;
  const contextTokens = (depths.at(-1) ?? 0) + round.tokens;
  const options = { modelPath: modelFile(benchmarkModel), threads, contextTokens };
  const loaded = new Map<string, Contender>();
  try {
    for (const depth of depths) {
      const caseOf = (cache: string): string => `${name}/${cache}/depth=${depth}`;
      const againstBest = [...ours.keys()].filter((cache) => selects(caseOf(cache)));
      const againstOthers = comparisons
        .filter((comparison) => comparison.depth === depth)
        .map((other) => ({ ...other, case: `${caseOf(other.cache)}/baseline=${other.baseline}` }))
        .filter((other) => selects(other.case));
      const stocks = againstBest.length > 0 ? [...stock.keys()] : [];

      const entrants = new Map<string, Entrant>();
      const others = againstOthers.flatMap(({ cache, baseline }) => [cache, baseline]);
      for (const cache of new Set([...againstBest, ...stocks, ...others])) {
        const contender = loaded.get(cache) ?? (await loadContender(cache, options));
        loaded.set(cache, contender);
        entrants.set(cache, { contender, depth });
      }
      const speeds = await sampleSpeeds(entrants, benchmark);

      const row = (caseName: string, cache: string, baseline?: string): Row => {
        const what = { case: caseName, unit: 'tokens/s', better: 'higher' } as const;
        const samples = speeds.get(cache) ?? [];
        if (baseline === undefined) return rowOf(what, samples);
        return rowOf(what, samples, { name: baseline, samples: speeds.get(baseline) ?? [] });
      };
      const speedOf = (cache: string): number => median(speeds.get(cache) ?? []);
      const best = stocks.toSorted((a, b) => speedOf(b) - speedOf(a))[0];
      for (const cache of againstBest) yield row(caseOf(cache), cache, best);
      for (const other of againstOthers) yield row(other.case, other.cache, other.baseline);
      for (const cache of stocks) yield row(caseOf(cache), cache);
    }
  } finally {
    for (const contender of loaded.values()) await contender.close();
  }
}

/** Tokens per second of every round, by cache. What is much slower takes part in the first only. */
async function sampleSpeeds(
  entrants: ReadonlyMap<string, Entrant>,
  { round, rounds, slowRounds }: SpeedBenchmark,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const warmUp = new Map<string, number>();
  for (const [cache, { contender, depth }] of entrants) {
    progress(`filling ${cache} to ${depth} tokens`);
    await contender.goTo(depth);
    warmUp.set(cache, await takeTurn(contender, round));
  }
  const seconds = (cache: string): number => warmUp.get(cache) ?? Number.NaN;
  const stocks = [...entrants.keys()].filter((cache) => stock.has(cache));
  const fastest = Math.min(...stocks.map(seconds));
  const slow = new Set(stocks.filter((cache) => seconds(cache) > muchSlower * fastest));

  const speeds = new Map([...entrants.keys()].map((cache): [string, number[]] => [cache, []]));
  for (let index = 0; index < rounds; index++) {
    const taking = [...entrants].filter(([cache]) => index < slowRounds || !slow.has(cache));
    for (const [cache, taken] of await runRound(new Map(taking), round))
      speeds.get(cache)?.push(round.tokens / taken);
  }
  return speeds;
}
