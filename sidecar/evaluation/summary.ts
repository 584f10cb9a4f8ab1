/** Tables and verdicts, made of single measurements. */
import {
  quantileOfBins,
  type ContinuationResult,
  type EvaluationResult,
  type HoleResult,
  type NeedlesResult,
  type PredictionsResult,
  type SpeedResult,
} from './results.ts';
import { bootstrap, mean, median, sum, type Estimate } from './statistics.ts';
import { reference } from './strategies.ts';

/** One cache at one length of context. Absent: not measured. */
export interface Row {
  readonly cache: string;
  readonly context: number;
  readonly predictions?: {
    readonly chunks: number;
    readonly tokens: number;
    readonly perplexity: number;
    /** Percent above that of the full cache. */
    readonly change: Estimate;
    /** Kullback-Leibler divergence from the full cache, in nats. */
    readonly mean: Estimate;
    readonly median: number;
    readonly p999: number;
    /** Percent of tokens after which both find the same one the likeliest. */
    readonly sameTop: Estimate;
    /** Of the cache behind a whole context. */
    readonly bytes: number;
    /** FP16 over that. */
    readonly smaller: number;
    readonly byPosition: readonly number[];
  };
  readonly continuation?: {
    readonly rougeL: Estimate;
    readonly similarity: Estimate;
    readonly sameTokens: number;
  };
  readonly retrieval?: {
    /** By how many needles there are in a context, the fewest first. */
    readonly counts: readonly Retrieval[];
    /** Nats by which the values of all needles are less likely than with the full cache. */
    readonly lossAboveFull: Estimate;
    /** The same by depth, the oldest first. */
    readonly lossByDepth: readonly number[];
  };
  readonly holes?: { readonly count: number; readonly exact: number; readonly similarity: number };
  readonly speed?: {
    readonly tokensPerSecond: number;
    /** Of pairs in turn with the full cache; above 1 is faster. */
    readonly ratio: Estimate;
  };
}

export interface Retrieval {
  readonly needles: number;
  readonly asked: number;
  readonly chosen: number;
  readonly exact: number;
  /** Share chosen, by depth, the oldest first. */
  readonly byDepth: readonly number[];
  /** Needles chosen above those of the full cache, of each hundred asked. */
  readonly aboveFull: Estimate;
}

const perplexity = (all: readonly PredictionsResult[], of: 'loss' | 'fullLoss'): number =>
  Math.exp(sum(all.map((one) => one[of])) / sum(all.map((one) => one.tokens)));

function predictionsOf(all: readonly PredictionsResult[]): NonNullable<Row['predictions']> {
  const tokens = (some: readonly PredictionsResult[]): number => sum(some.map((one) => one.tokens));
  const bins: Record<string, number> = {};
  for (const one of all)
    for (const [bin, count] of Object.entries(one.divergences))
      bins[bin] = (bins[bin] ?? 0) + count;
  const bytes = mean(all.map((one) => one.bytes));
  return {
    chunks: all.length,
    tokens: tokens(all),
    perplexity: perplexity(all, 'loss'),
    change: bootstrap(
      all,
      (some) => 100 * (perplexity(some, 'loss') / perplexity(some, 'fullLoss') - 1),
    ),
    mean: bootstrap(all, (some) => sum(some.map((one) => one.divergence)) / tokens(some)),
    median: quantileOfBins(bins, 0.5),
    p999: quantileOfBins(bins, 0.999),
    sameTop: bootstrap(all, (some) => (100 * sum(some.map((one) => one.sameTop))) / tokens(some)),
    bytes,
    smaller: mean(all.map((one) => one.fullBytes)) / bytes,
    byPosition: (all[0]?.byPosition ?? []).map((_, part) =>
      mean(all.map((one) => one.byPosition[part] ?? Number.NaN)),
    ),
  };
}

type Needle = NeedlesResult['found'][number];

/** Needles with themselves in the full cache. */
interface Pair {
  readonly own: Needle;
  readonly full: Needle;
}

function retrievalOf(
  all: readonly NeedlesResult[],
  full: readonly NeedlesResult[],
): NonNullable<Row['retrieval']> {
  const pairsOf = (some: readonly NeedlesResult[]): Pair[] =>
    some.flatMap(({ needles, round, found }) => {
      const other = full.find((one) => one.needles === needles && one.round === round);
      return found.map((own, index) => ({ own, full: other?.found[index] ?? own }));
    });
  const counts = [...new Set(all.map(({ needles }) => needles))].sort((a, b) => a - b);
  const pairs = pairsOf(all);
  const loss = (some: readonly Pair[]): number =>
    mean(some.map((pair) => pair.own.loss - pair.full.loss));
  return {
    counts: counts.map((needles) =>
      foundOf(needles, pairsOf(all.filter((one) => one.needles === needles))),
    ),
    lossAboveFull: bootstrap(pairs, loss),
    lossByDepth: byDepth(pairs, loss),
  };
}

function foundOf(needles: number, pairs: readonly Pair[]): Retrieval {
  const number = (what: 'chosen' | 'exact'): number => pairs.filter(({ own }) => own[what]).length;
  return {
    needles,
    asked: pairs.length,
    chosen: number('chosen'),
    exact: number('exact'),
    byDepth: byDepth(pairs, (some) => mean(some.map(({ own }) => Number(own.chosen)))),
    aboveFull: bootstrap(
      pairs,
      (some) => 100 * mean(some.map((pair) => Number(pair.own.chosen) - Number(pair.full.chosen))),
    ),
  };
}

function byDepth(pairs: readonly Pair[], figure: (some: readonly Pair[]) => number): number[] {
  const depths = [...new Set(pairs.map(({ own }) => own.depth))].sort((a, b) => a - b);
  return depths.map((depth) => figure(pairs.filter(({ own }) => own.depth === depth)));
}

/** A row for each cache and length of context, in the order in which they were measured. */
export function rowsOf(results: readonly EvaluationResult[]): Row[] {
  const places = new Map<string, { cache: string; context: number }>();
  for (const { cache, context } of results) places.set(`${context}/${cache}`, { cache, context });
  const all = [...places.values()].sort((a, b) => a.context - b.context);
  return all.map(({ cache, context }) => {
    const of = (name: string): EvaluationResult[] =>
      results.filter((one) => one.cache === name && one.context === context);
    const own = of(cache);
    const predictions = own.filter((one): one is PredictionsResult => one.task === 'predictions');
    const continuation = own.filter(
      (one): one is ContinuationResult => one.task === 'continuation',
    );
    const isNeedles = (one: EvaluationResult): one is NeedlesResult => one.task === 'needles';
    const needles = own.filter(isNeedles);
    const holes = own.filter((one): one is HoleResult => one.task === 'hole');
    const [speed] = own.filter((one): one is SpeedResult => one.task === 'speed');
    return {
      cache,
      context,
      ...(predictions.length === 0 ? {} : { predictions: predictionsOf(predictions) }),
      ...(continuation.length === 0
        ? {}
        : {
            continuation: {
              rougeL: bootstrap(continuation, (some) => mean(some.map((one) => one.rougeL))),
              similarity: bootstrap(continuation, (some) =>
                mean(some.map((one) => one.similarity)),
              ),
              sameTokens: mean(continuation.map((one) => one.sameTokens)),
            },
          }),
      ...(needles.length === 0
        ? {}
        : { retrieval: retrievalOf(needles, of(reference.name).filter(isNeedles)) }),
      ...(holes.length === 0
        ? {}
        : {
            holes: {
              count: holes.length,
              exact: mean(holes.map(({ exact }) => Number(exact))),
              similarity: mean(holes.map(({ similarity }) => similarity)),
            },
          }),
      ...(speed === undefined
        ? {}
        : {
            speed: {
              tokensPerSecond: median(speed.tokensPerSecond),
              ratio: bootstrap(
                speed.tokensPerSecond.map(
                  (own, index) => own / (speed.fullTokensPerSecond[index] ?? own),
                ),
                median,
              ),
            },
          }),
    };
  });
}
