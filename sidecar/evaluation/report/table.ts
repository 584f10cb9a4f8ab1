/** The report's table, as cells that HTML, Markdown and CSV write in their own ways. */
import type { Row } from '../summary.ts';
import { figure, interval, mebibytes, none, signed } from './figures.ts';

interface Column {
  readonly name: string;
  /** What the column is about, for who does not know. */
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** The interval of 95 % confidence. */
  readonly detail?: (row: Row) => string | undefined;
}

const retrieved = (needles: number): Column => ({
  name: needles === 1 ? '1 needle' : `${needles} needles`,
  title: 'constants out of every window whose value is likelier than seven others',
  cell: ({ retrieval }) => {
    const found = retrieval?.counts.find((one) => one.needles === needles);
    return found === undefined ? none : `${found.chosen} of ${found.asked}`;
  },
});

export const columns: readonly Column[] = [
  { name: 'cache', title: 'policy and tier', cell: ({ cache }) => cache },
  {
    name: 'perplexity',
    title: 'of the second half of each context',
    cell: ({ predictions }) => predictions?.perplexity.toFixed(3) ?? none,
  },
  {
    name: 'change',
    title: 'of the perplexity against the full cache',
    cell: ({ predictions }) =>
      predictions === undefined ? none : `${signed(predictions.change.value)} %`,
    detail: ({ predictions }) => predictions && interval(predictions.change, signed),
  },
  {
    name: 'KLD mean',
    title: 'Kullback-Leibler divergence from the full cache, nats',
    cell: ({ predictions }) => (predictions === undefined ? none : figure(predictions.mean.value)),
    detail: ({ predictions }) => predictions && interval(predictions.mean),
  },
  {
    name: 'median',
    title: 'of the divergence',
    cell: ({ predictions }) => (predictions === undefined ? none : figure(predictions.median)),
  },
  {
    name: '99.9 %',
    title: 'of the divergence',
    cell: ({ predictions }) => (predictions === undefined ? none : figure(predictions.p999)),
  },
  {
    name: 'same top',
    title: 'tokens after which the same one is the likeliest',
    cell: ({ predictions }) =>
      predictions === undefined ? none : `${predictions.sameTop.value.toFixed(2)} %`,
    detail: ({ predictions }) => predictions && interval(predictions.sameTop),
  },
  {
    name: 'ROUGE-L',
    title: 'of a greedy continuation against the text that follows',
    cell: ({ continuation }) => continuation?.rougeL.value.toFixed(4) ?? none,
    detail: ({ continuation }) => continuation && interval(continuation.rougeL),
  },
  {
    name: 'as full',
    title: 'edit similarity of the continuation with that of the full cache',
    cell: ({ continuation }) =>
      continuation === undefined ? none : `${(100 * continuation.similarity.value).toFixed(1)} %`,
  },
  retrieved(1),
  retrieved(4),
  retrieved(16),
  {
    name: 'needle loss',
    title: 'nats by which the values of the constants are less likely than with the full cache',
    cell: ({ retrieval }) => (retrieval ? signed(retrieval.lossAboveFull.value) : none),
    detail: ({ retrieval }) => retrieval && interval(retrieval.lossAboveFull, signed),
  },
  {
    name: 'holes',
    title: 'exactly as the file has it, of what was taken out of files',
    cell: ({ holes }) =>
      holes === undefined ? none : `${(100 * holes.exact).toFixed(1)} % of ${holes.count}`,
  },
  {
    name: 'tokens/s',
    title: 'decoding behind the whole context',
    cell: ({ speed }) => (speed === undefined ? none : figure(speed.tokensPerSecond)),
  },
  {
    name: 'speed',
    title: 'against the full cache, in turn',
    cell: ({ speed }) => (speed === undefined ? none : `${speed.ratio.value.toFixed(2)}x`),
    detail: ({ speed }) => speed && interval(speed.ratio),
  },
  {
    name: 'memory',
    title: 'of the cache behind the whole context',
    cell: ({ predictions }) => (predictions === undefined ? none : mebibytes(predictions.bytes)),
  },
  {
    name: 'smaller',
    title: 'than an FP16 cache of the same tokens',
    cell: ({ predictions }) =>
      predictions === undefined ? none : `${predictions.smaller.toFixed(2)}x`,
  },
];

/** The brief's four figures, with those that decide, for README and docs. */
export const shortColumns: readonly Column[] = columns.filter(({ name }) =>
  [
    'cache',
    'perplexity',
    'change',
    'KLD mean',
    'same top',
    'ROUGE-L',
    'needle loss',
    'speed',
    'smaller',
  ].includes(name),
);

export function markdownTable(rows: readonly Row[], chosen: readonly Column[]): string {
  const lines = [
    chosen.map(({ name }) => name),
    chosen.map(() => '---'),
    ...rows.map((row) => chosen.map(({ cell }) => cell(row))),
  ];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const quoted = (value: string | number | undefined): string => {
  const text = String(value ?? '');
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** All figures as they are, one line for each cache and length. */
export function csvOf(rows: readonly Row[]): string {
  const records = rows.map(
    ({ cache, context, predictions, continuation, retrieval, holes, speed }) => ({
      cache,
      context,
      perplexity: predictions?.perplexity,
      'perplexity change %': predictions?.change.value,
      'change low': predictions?.change.low,
      'change high': predictions?.change.high,
      'kld mean': predictions?.mean.value,
      'kld mean low': predictions?.mean.low,
      'kld mean high': predictions?.mean.high,
      'kld median': predictions?.median,
      'kld 99.9 %': predictions?.p999,
      'same top %': predictions?.sameTop.value,
      'rouge-l': continuation?.rougeL.value,
      'similarity to full': continuation?.similarity.value,
      ...Object.fromEntries(
        [1, 4, 16].flatMap((needles) => {
          const found = retrieval?.counts.find((one) => one.needles === needles);
          return [
            [`${needles} needles chosen`, found && found.chosen / found.asked],
            [`${needles} needles exact`, found && found.exact / found.asked],
          ];
        }),
      ),
      'needle loss above full': retrieval?.lossAboveFull.value,
      'needle loss low': retrieval?.lossAboveFull.low,
      'needle loss high': retrieval?.lossAboveFull.high,
      'holes exact': holes?.exact,
      'holes similarity': holes?.similarity,
      'tokens/s': speed?.tokensPerSecond,
      'speed ratio': speed?.ratio.value,
      bytes: predictions?.bytes,
      'times smaller': predictions?.smaller,
    }),
  );
  const names = Object.keys(records[0] ?? {});
  const lines = records.map((record) => Object.values(record).map(quoted).join(','));
  return `${[names.map(quoted).join(','), ...lines].join('\n')}\n`;
}
