import type { Estimate } from './statistics.ts';
import type { Row } from './summary.ts';

/** What a figure is asked to be, and whether it is. `unclear`: the interval lies on both sides of the bound. */
export interface Verdict {
  readonly cache: string;
  readonly context: number;
  readonly claim: string;
  readonly unit: string;
  readonly figure: Estimate;
  readonly bound: number;
  readonly verdict: 'met' | 'missed' | 'unclear';
}

interface Claim {
  readonly claim: string;
  readonly unit: string;
  readonly of: (cache: string) => boolean;
  readonly asks: 'below' | 'at least';
  readonly bound: number;
  readonly figure: (row: Row, rows: readonly Row[]) => Estimate | undefined;
}

const exact = (value: number): Estimate => ({ value, low: value, high: value });

const is = (name: string) => (cache: string) => cache === name;
/** With any window. */
const ofInt8 = (cache: string): boolean => /^selective:int8(?:$|:)/.test(cache);
const keepsHalf = (cache: string): boolean => /^(?:h2o|importance)\b/.test(cache);
const change = ({ predictions }: Row): Estimate | undefined => predictions?.change;

/** The project's brief, and what we ask of ourselves beyond it. */
const claims: readonly Claim[] = [
  {
    claim: 'int8: perplexity, as the brief asks',
    unit: '%',
    of: ofInt8,
    asks: 'below',
    bound: 0.5,
    figure: change,
  },
  {
    claim: 'int8: perplexity, as we ask',
    unit: '%',
    of: ofInt8,
    asks: 'below',
    bound: 0.1,
    figure: change,
  },
  {
    claim: 'int8: same likeliest token',
    unit: '%',
    of: ofInt8,
    asks: 'at least',
    bound: 98,
    figure: ({ predictions }) => predictions?.sameTop,
  },
  {
    claim: 'int8: times smaller than FP16',
    unit: 'x',
    of: ofInt8,
    asks: 'at least',
    bound: 1.8,
    figure: ({ predictions }) => predictions && exact(predictions.smaller),
  },
  {
    claim: 'int8: speed of decoding against FP16',
    unit: 'x',
    of: ofInt8,
    asks: 'at least',
    bound: 1,
    figure: ({ speed }) => speed?.ratio,
  },
  {
    claim: 'int8: needles found above FP16, of each hundred',
    unit: '',
    of: ofInt8,
    asks: 'at least',
    bound: 0,
    figure: ({ retrieval }) => {
      const most = retrieval?.counts.at(-1);
      return most?.aboveFull;
    },
  },
  {
    claim: 'int8: loss of a needle’s value above FP16',
    unit: 'nats',
    of: ofInt8,
    asks: 'below',
    bound: 0.1,
    figure: ({ retrieval }) => retrieval?.lossAboveFull,
  },
  {
    claim: 'int4: perplexity',
    unit: '%',
    of: is('selective:int4'),
    asks: 'below',
    bound: 2,
    figure: change,
  },
  {
    claim: 'half of the tokens pruned: perplexity',
    unit: '%',
    of: keepsHalf,
    asks: 'below',
    bound: 3,
    figure: change,
  },
  {
    claim: 'compressed: divergence over that of int8 ("far worse")',
    unit: 'x',
    of: is('compressed'),
    asks: 'at least',
    bound: 10,
    figure: ({ context, predictions }, rows) => {
      const int8 = rows.find((row) => row.cache === 'selective:int8' && row.context === context);
      const other = int8?.predictions?.mean;
      if (predictions === undefined || other === undefined) return undefined;
      const { value, low, high } = predictions.mean;
      return { value: value / other.value, low: low / other.high, high: high / other.low };
    },
  },
];

export const verdictsOf = (rows: readonly Row[]): Verdict[] =>
  claims.flatMap(({ claim, unit, of, asks, bound, figure }) =>
    rows
      .filter(({ cache }) => of(cache))
      .flatMap((row) => {
        const estimate = figure(row, rows);
        if (estimate === undefined) return [];
        const { cache, context } = row;
        const verdict = judge(estimate, asks, bound);
        return [{ cache, context, claim, unit, figure: estimate, bound, verdict }];
      }),
  );

function judge({ low, high }: Estimate, asks: Claim['asks'], bound: number): Verdict['verdict'] {
  const [met, missed] =
    asks === 'below' ? [high < bound, low >= bound] : [low >= bound, high < bound];
  if (met) return 'met';
  return missed ? 'missed' : 'unclear';
}
