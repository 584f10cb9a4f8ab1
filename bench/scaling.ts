/** How the seconds of a token grow with the depth, and how near they are to what memory allows. */
import { tensorsOf, type ModelSpec } from '../test/fixtures/models/architectures.ts';
import { modelFile } from '../test/fixtures/models/generate.ts';
import { tensorBytes } from '../test/fixtures/models/gguf.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { loadOurs, type OurContender } from './contender.ts';
import { ours } from './engine.ts';
import { progress, rowOf, type Options, type Row } from './harness.ts';
import { readBandwidth } from './native.ts';
import { runRound, takeTurn, type Entrant, type Round } from './rounds.ts';
import { fitLine } from './statistics.ts';
import { median } from '../sidecar/evaluation/statistics.ts';

export interface ScalingBenchmark {
  /** First part of the cases' names. */
  readonly name: string;
  readonly cache: string;
  /** Depths of the fit. */
  readonly depths: readonly number[];
  /** Depth at which the time is compared with that of reading weights and cache. */
  readonly floorDepth: number;
  readonly round: Round;
  readonly rounds: number;
}

/**
 * Bytes of weights read for one token: every tensor but the token embedding, of which one row is
 * read, unless it is the output matrix too.
 */
export function weightBytes(spec: ModelSpec): number {
  return tensorsOf(spec)
    .filter(({ name }) => name !== 'token_embd.weight' || spec.tied === true)
    .reduce((sum, { type, shape }) => sum + tensorBytes(type, shape), 0);
}

/**
 * Rows: milliseconds per token by depth, the line through them and how far they are from it; the
 * bandwidth, and the share of the floor.
 */
export async function* measureScaling(
  benchmark: ScalingBenchmark,
  { threads, selects }: Options,
): AsyncGenerator<Row> {
  const { name, cache, depths, floorDepth, round, rounds } = benchmark;
  const linearity = `${name}/${cache}/linearity`;
  const shareOfFloor = `${name}/${cache}/depth=${floorDepth}/share-of-floor`;
  const fitted = selects(linearity) ? depths : [];
  const compared = selects(shareOfFloor) ? [floorDepth] : [];

  // One engine per depth, so that all depths take turns.
  const engines = new Map<number, OurContender>();
  try {
    for (const depth of new Set([...fitted, ...compared]))
      engines.set(depth, await loadFilled(benchmark, depth, threads));
    const bytes =
      weightBytes(benchmarkModel) + (engines.get(floorDepth)?.engine.stats().bytes ?? 0);
    const entrants = new Map<number, Entrant>();
    for (const [depth, contender] of engines) entrants.set(depth, { contender, depth });

    const seconds = new Map([...engines.keys()].map((depth): [number, number[]] => [depth, []]));
    const bandwidths: number[] = [];
    for (let index = 0; index < rounds && entrants.size > 0; index++) {
      for (const [depth, taken] of await runRound(entrants, round))
        seconds.get(depth)?.push(taken / round.tokens);
      if (compared.length > 0) bandwidths.push(await readBandwidth(threads));
    }
    const secondsAt = (depth: number): readonly number[] => seconds.get(depth) ?? [];

    if (compared.length > 0) {
      const floors = bandwidths.map((bandwidth) => bytes / bandwidth);
      const shares = secondsAt(floorDepth).map((taken, index) => (floors[index] ?? 0) / taken);
      yield rowOf({ case: shareOfFloor, unit: 'of the floor', better: 'higher' }, shares);
      const what = { case: `${name}/read-bandwidth`, unit: 'GB/s', better: 'higher' } as const;
      yield rowOf(
        what,
        bandwidths.map((bandwidth) => bandwidth / 1e9),
      );
    }
    if (fitted.length > 0) yield* linearityRows(linearity, fitted, secondsAt, round.tokens);
  } finally {
    for (const contender of engines.values()) await contender.close();
  }
}

async function loadFilled(
  { cache, round }: ScalingBenchmark,
  depth: number,
  threads: number,
): Promise<OurContender> {
  const options = ours.get(cache);
  if (!options) throw new Error(`no cache is called ${cache}`);
  const modelPath = modelFile(benchmarkModel);
  const contextTokens = depth + round.tokens;
  const contender = await loadOurs(options, { modelPath, threads, contextTokens });
  progress(`filling ${cache} to ${depth} tokens`);
  await contender.goTo(depth);
  await takeTurn(contender, round); // warms up
  await contender.goTo(depth);
  return contender;
}

function* linearityRows(
  linearity: string,
  depths: readonly number[],
  secondsAt: (depth: number) => readonly number[],
  tokens: number,
): Generator<Row> {
  const milliseconds = { unit: 'ms', better: 'lower' } as const;
  for (const depth of depths) {
    const what = { ...milliseconds, case: `${linearity}/depth=${depth}` };
    yield rowOf(
      what,
      secondsAt(depth).map((taken) => 1000 * taken),
    );
  }
  // A round's tokens lie between its depth and its end.
  const points = depths.map((depth) => ({ x: depth + tokens / 2, y: median(secondsAt(depth)) }));
  const { intercept, slope, largestDeviation } = fitLine(points);
  yield rowOf({ ...milliseconds, case: `${linearity}/at-depth-0` }, [1000 * intercept]);
  yield rowOf({ ...milliseconds, case: `${linearity}/per-1024-tokens` }, [1000 * 1024 * slope]);
  yield rowOf({ case: linearity, unit: '% off the line', better: 'lower' }, [
    100 * largestDeviation,
  ]);
}
