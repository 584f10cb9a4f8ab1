/** What single measurements come to, as it is kept on disk; all of a kind with the same fields. */
import { z } from 'zod';

const figure = z.number();
const whole = z.int().min(0);

const common = { cache: z.string(), context: whole };

const predictions = z.object({
  ...common,
  task: z.literal('predictions'),
  chunk: whole,
  /** Scored tokens: those of the second half of the context. The sums are over them. */
  tokens: whole,
  loss: figure,
  fullLoss: figure,
  divergence: figure,
  sameTop: whole,
  /** Of scored tokens, by `binOf` their divergence. */
  divergences: z.record(z.string(), whole),
  /** Mean divergence over equal parts of the whole context. */
  byPosition: z.array(figure),
  bytes: whole,
  fullBytes: whole,
  droppedTokens: figure,
});

const continuation = z.object({
  ...common,
  task: z.literal('continuation'),
  chunk: whole,
  /** Against the text that really follows. */
  rougeL: figure,
  /** With what the full cache makes the model write: 1 less the edits it takes, over the longer length. */
  similarity: figure,
  /** Tokens written before the first other one. */
  sameTokens: whole,
  writtenTokens: whole,
  text: z.string(),
});

const needles = z.object({
  ...common,
  task: z.literal('needles'),
  needles: whole,
  round: whole,
  found: z.array(
    z.object({
      /** Of the asked needle: 0 is the oldest that was possible, 9 the latest. */
      depth: whole,
      /** The value is likelier than those of other needles. */
      chosen: z.boolean(),
      /** It is what the model writes. */
      exact: z.boolean(),
      loss: figure,
    }),
  ),
});

const speed = z.object({
  ...common,
  task: z.literal('speed'),
  /** Pairs of tokens per second, taken in turn. */
  tokensPerSecond: z.array(figure),
  fullTokensPerSecond: z.array(figure),
});

const hole = z.object({
  ...common,
  task: z.literal('hole'),
  hole: whole,
  kind: z.string(),
  exact: z.boolean(),
  similarity: figure,
});

export const resultSchema = z.discriminatedUnion('task', [
  predictions,
  continuation,
  needles,
  speed,
  hole,
]);

export type PredictionsResult = z.infer<typeof predictions>;
export type ContinuationResult = z.infer<typeof continuation>;
export type NeedlesResult = z.infer<typeof needles>;
export type SpeedResult = z.infer<typeof speed>;
export type HoleResult = z.infer<typeof hole>;
export type EvaluationResult = z.infer<typeof resultSchema>;
export type Task = EvaluationResult['task'];

export const tasks: readonly Task[] = ['predictions', 'continuation', 'needles', 'hole', 'speed'];

/** Twenty bins a decade, from 1e-12 nats; what is smaller is in the first. */
const binsPerDecade = 20;
const smallest = -12;

export const binOf = (divergence: number): number =>
  Math.max(0, Math.ceil((Math.log10(Math.max(divergence, 1e-300)) - smallest) * binsPerDecade));

/** The divergence that this share of them does not exceed, to 6 %. */
export function quantileOfBins(counts: Readonly<Record<string, number>>, share: number): number {
  const bins = Object.entries(counts)
    .map(([bin, count]) => ({ bin: Number(bin), count }))
    .sort((a, b) => a.bin - b.bin);
  let left = share * bins.reduce((all, { count }) => all + count, 0);
  for (const { bin, count } of bins) {
    left -= count;
    if (left <= 0) return bin === 0 ? 0 : 10 ** (smallest + (bin - 0.5) / binsPerDecade);
  }
  return Number.NaN;
}
