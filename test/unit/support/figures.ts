/**
 * What the documents quote of the recorded runs: their tables row by row, and pieces of their sentences, computed with the
 * rounding that the documents use.
 */
import { reaches, type Row } from '../../../bench/harness.ts';
import { shortColumns } from '../../../sidecar/evaluation/report/table.ts';
import {
  baselineOf,
  mustOf,
  ratioOf,
  recordedRuns,
  reportOf,
  rowOf,
  runOf,
  valueOf,
} from './results.ts';

export interface DocumentTable {
  readonly header: readonly string[];
  /** All of its rows; none: it has no figures of a recorded run. */
  readonly rows?: () => readonly (readonly string[])[];
}

export interface QuotingDocument {
  readonly path: string;
  /** All of its tables, in order. */
  readonly tables: readonly DocumentTable[];
  /** Pieces of its sentences that quote figures of recorded runs. */
  readonly quotes: () => readonly string[];
  /** Headings of the sections whose sentences have no other numbers than these quotes and those below. */
  readonly sections: readonly string[];
  /** Pieces with numbers that are no figures, such as how it was measured. */
  readonly setup: readonly string[];
}

const times = (value: number, digits = 2): string => `${value.toFixed(digits)}x`;
const percent = (value: number, digits = 0): string => `${value.toFixed(digits)} %`;
const range = (values: readonly number[], digits = 0): string =>
  `${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)}`;
const counts = ['none', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'];
const inWords = (count: number): string => counts[count] ?? count.toFixed(0);
/** With a space between thousands. */
const grouped = (value: number): string => value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, ' ');
const capitalised = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

// README, the table of ratios.

const tiers = ['full', 'int8', 'int4'];
const ratiosBy = (run: string, caseOf: (tier: string) => string, digits = 2): readonly string[] =>
  tiers.map((tier) => times(ratioOf(run, caseOf(tier)), digits));
const attentionCase =
  (queries: number) =>
  (tier: string): string =>
    `attention/${tier === 'full' ? 'fp16' : tier}/avx512vnni/head=64/group=7/depth=16384/queries=${queries}`;
const memoryRatio = (tier: string): string =>
  times(ratioOf('memory', `memory/${tier}/head=64/tokens=16384`));

const decode = (depth: number) => (tier: string) => `decode/${tier}/depth=${depth}`;
const prefill = (depth: number) => (tier: string) => `prefill/${tier}/depth=${depth}`;
const loading = (tier: string): string => `load/${tier}`;

const spreadsBy = (run: string, caseOf: (tier: string) => string, of = tiers): readonly number[] =>
  of.map((tier) => 100 * rowOf(run, caseOf(tier)).spread);

// README, what the bits cost.

/** Three decimals, or three digits where these are fewer. */
const change = (value: number): string =>
  `${value > 0 ? '+' : ''}${Math.abs(value) < 1 ? value.toFixed(3) : value.toPrecision(3)} %`;

function qualityRow(label: string, cache: string, run = 'quality'): readonly string[] {
  const of = (what: string): number => valueOf(run, `quality/${cache}/context=8192/${what}`);
  return [
    label,
    percent(of('same-top'), 1),
    change(of('perplexity-change')),
    `${of('kld-mean').toExponential(1)} nats`,
  ];
}

// docs/benchmarks.md

/** Three digits, but no more than two decimals. */
const seconds = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} s`;

function restartRow(label: string, place: string): readonly string[] {
  const of = (what: string): number => valueOf('restart', `restart/${place}/${what}`);
  return [
    label,
    seconds(baselineOf('restart', `restart/${place}/first-completion`).value),
    seconds(of('first-completion')),
    `${of('write').toFixed(0)} ms`,
    `${of('read').toFixed(0)} ms`,
    `${of('size').toFixed(1)} MiB`,
  ];
}

const lossCase = (holes: string, difference: string): string =>
  `completion/${holes}/${difference}/loss`;

function completionRow(label: string, difference: string, digits: number): readonly string[] {
  const cells = ['all', 'needs-far'].map((holes) => {
    const of = (bound: string): string =>
      valueOf('completion', `${lossCase(holes, difference)}${bound}`).toFixed(digits);
    return `${of('')} (${of('-low')} to ${of('-high')})`;
  });
  return [label, ...cells];
}

const draftKinds = ['line', 'block', 'function', 'tests', 'declarations', 'rename', 'hot'];
const promptsOfAKind = 40;

const draftRow = (kind: string): readonly string[] => [
  `\`${kind}\``,
  times(ratioOf('lookup', `lookup/${kind}/decode`)),
  percent(valueOf('lookup', `lookup/${kind}/drafted`)),
  percent(valueOf('lookup', `lookup/${kind}/accepted`)),
];

/** Completions with the same tokens, with drafts and without. */
const sameCompletions = (): number =>
  draftKinds
    .map((kind) => (promptsOfAKind * valueOf('lookup', `lookup/${kind}/same`)) / 100)
    .reduce((sum, count) => sum + count);

const asked = (place: string): number => valueOf('typing', `typing/${place}/asked`);

/** Milliseconds of a token at 16 384 tokens. */
const tokenTime = (tier: string): number => 1000 / valueOf('decode-16384', decode(16384)(tier));
const againstFull = `${decode(16384)('int8')}/baseline=full`;
const floorShare = `${decode(16384)('int8')}/share-of-floor`;
/** Milliseconds in which memory could deliver the cache of 16 384 tokens. */
const cacheFloor = (tier: string): number =>
  (1000 * valueOf('memory', `memory/${tier}/head=64/tokens=16384`)) /
  (1e9 * valueOf('decode-16384', 'decode/read-bandwidth'));
/** And all that a token has to read, with int8. */
const floor = (): number => valueOf('decode-16384', floorShare) * tokenTime('int8');

/** Of a keystroke, the median. */
const releaseTokens = (name: string): { readonly value: number; readonly other: number } => {
  const place = `typing/releases/${name}/prefilled/p50`;
  const [value, other] = [valueOf('typing-releases', place), baselineOf('typing-releases', place)];
  return { value, other: Math.round(other.value) };
};

const missesOf = (run: string): readonly Row[] => runOf(run).rows.filter((row) => !reaches(row));

const int4Ratios = (rows: readonly Row[]): string => {
  const ratios = rows.map(({ ratio = Number.NaN }) => ratio);
  return `${times(Math.min(...ratios))} to ${times(Math.max(...ratios))}`;
};

// docs/performance.md

const kernelTiers = ['fp16', 'int8', 'k8v4', 'int4'];
const gpus = ['RTX 3060', 'RTX 4090', 'RTX 5090', 'A100', 'H100'];
const kernelCase = (shape: string, tier: string, what: string): string =>
  `kernels/${shape}/${tier}/depth=32768/${what}`;

const readRow = (shape: string): readonly string[] => [
  shape,
  ...kernelTiers.map((tier) => valueOf('kernels', kernelCase(shape, tier, 'read')).toFixed(3)),
];

/** Microseconds of a layer, with a decimal below 20, and how many times faster than FP16. */
function gpuCell(shape: string, tier: string, gpu: string): string {
  const { value, ratio } = rowOf('kernels', kernelCase(shape, tier, `model of ${gpu}`));
  const time = value.toFixed(value < 20 ? 1 : 0);
  return ratio === undefined ? time : `${time}, ${times(ratio)}`;
}

const gpuTable = (shape: string): DocumentTable => ({
  header: [shape, ...gpus],
  rows: () => kernelTiers.map((tier) => [tier, ...gpus.map((gpu) => gpuCell(shape, tier, gpu))]),
});

// docs/evaluation.md

const reportTable = (folder: string, context: number, names?: readonly string[]): DocumentTable => {
  const columns = shortColumns.filter(({ name }) => names === undefined || names.includes(name));
  return {
    header: columns.map(({ name }) => name),
    rows: () =>
      reportOf(folder)
        .rows.filter((row) => row.context === context)
        .map((row) => columns.map(({ cell }) => cell(row))),
  };
};

const withoutNeedles = ['cache', 'perplexity', 'change', 'KLD mean', 'same top', 'smaller'];

/** Of how many needles the model finds the values, with any cache that keeps every token. */
const foundByFull = (): readonly number[] =>
  reportOf('eval').rows.flatMap(({ cache, retrieval }) =>
    cache === 'full' ? (retrieval?.counts ?? []).map(({ chosen }) => chosen) : [],
  );

const smallerThan = (cache: string, context: number): string => {
  const { rows } = reportOf('eval');
  const found = rows.find((row) => row.cache === cache && row.context === context);
  return (found?.predictions?.smaller ?? Number.NaN).toFixed(2);
};

export const documents: readonly QuotingDocument[] = [
  {
    path: 'README.md',
    tables: [
      { header: ['package', 'built', 'tried'] },
      { header: ['setting', 'default', ''] },
      {
        header: ['', '`full` (FP16)', '`selective`, int8', '`selective`, int4'],
        rows: () => [
          ['decode, empty cache', ...ratiosBy('decode', decode(0))],
          ['decode at 4 096 tokens', ...ratiosBy('decode', decode(4096))],
          ['decode at 16 384 tokens', ...ratiosBy('decode-16384', decode(16384))],
          ['prefill of 512 tokens, empty cache', ...ratiosBy('prefill', prefill(0))],
          [
            'prefill of 512 tokens at 16 384 tokens',
            '',
            times(ratioOf('prefill', prefill(16384)('int8'))),
            '',
          ],
          [
            'attention of 512 tokens alone, at 16 384 tokens',
            ...ratiosBy('attention', attentionCase(512), 1),
          ],
          [
            'attention of one token alone, at 16 384 tokens',
            ...ratiosBy('attention', attentionCase(1), 1),
          ],
          ['loading the model', ...ratiosBy('load', loading)],
          [
            'cache at 16 384 tokens, against FP16',
            memoryRatio('full'),
            `${memoryRatio('int8')} smaller`,
            `${memoryRatio('int4')} smaller`,
          ],
        ],
      },
      {
        header: ['cache', 'same likeliest token', 'perplexity', 'mean KL divergence'],
        rows: () => [
          qualityRow('int8', 'int8'),
          qualityRow('int4', 'int4'),
          qualityRow('llama.cpp `f16`', 'llama.cpp f16 fa=off'),
          qualityRow('llama.cpp `q8_0`', 'llama.cpp q8_0 fa=on'),
          qualityRow('llama.cpp `q4_0`', 'llama.cpp q4_0 fa=on'),
        ],
      },
    ],
    quotes: () => {
      const speeds = [
        ...spreadsBy('decode', decode(0)),
        ...spreadsBy('decode', decode(4096)),
        ...spreadsBy('decode-16384', decode(16384)),
        ...spreadsBy('prefill', prefill(0)),
        ...spreadsBy('prefill', prefill(16384), ['int8']),
      ];
      const alone = [1, 512].flatMap((queries) => spreadsBy('attention', attentionCase(queries)));
      const typing = 'typing/context-16k/file=14k/prefilled/p50';
      const window = baselineOf('typing', typing);
      const restart = 'restart/0.5b/first-completion';
      const stock = `${decode(16384)('int8')}/baseline=llama.cpp q8_0 fa=on`;
      const machines = [...recordedRuns.values()].map(
        ({ machine }) => `${capitalised(inWords(machine.threads))} thread of an ${machine.cpu},`,
      );
      return [
        ...new Set(machines),
        `quartiles lie ${range(speeds)} % apart, those of loading up to ${percent(Math.max(...spreadsBy('load', loading)))}, those of attention alone up to ${percent(Math.max(...alone))}`,
        `In a file of 14 000 tokens a keystroke evaluates ${valueOf('typing', typing)} tokens, where a window of ${window.name} takes ${window.value} (`,
        `by ${(-valueOf('completion', lossCase('needs-far', 'file/full less 1k'))).toFixed(2)} nats a token where it has a name from far above`,
        `After a restart ${grouped(valueOf('restart', 'restart/0.5b/tokens'))} tokens of open files`,
        `within ${(Math.ceil(10 * valueOf('restart', restart)) / 10).toFixed(1)} s instead of ${baselineOf('restart', restart).value.toFixed(0)} (`,
        `Against llama.cpp's own \`q8_0\` cache int8 decodes ${ratioOf('decode-16384', stock).toFixed(1)} times as fast at 16 384 tokens.`,
      ];
    },
    sections: ['Measured'],
    setup: [
      'with 8-bit weights',
      'than with 1 024 tokens of it',
      'on 32 768 tokens of real code in contexts of 8 192',
    ],
  },
  {
    path: 'docs/benchmarks.md',
    tables: [
      { header: ['command', 'what it measures'] },
      { header: ['option', 'meaning'] },
      { header: ['case', 'meaning'] },
      { header: ['case', 'meaning'] },
      {
        header: [
          'model',
          'evaluated anew',
          'with the snapshot',
          'writing it',
          'reading it',
          'size',
        ],
        rows: () => [
          restartRow('bundled', 'bundled-8k'),
          restartRow('shape of Qwen2.5-Coder-0.5B', '0.5b'),
        ],
      },
      {
        // No run records how many holes there are.
        header: ['loss, nats a token', 'all 360 holes', 'the 80 holes that need what is far'],
        rows: () => [
          completionRow('whole file, FP16, less 1 024 tokens', 'file/full less 1k', 3),
          completionRow('int8 less FP16, whole file', 'file/int8 less file/full', 4),
          completionRow('int4 less FP16, whole file', 'file/int4 less file/full', 4),
          completionRow('two more files less the file alone', 'files/int8 less file/int8', 3),
        ],
      },
      {
        header: ['kind', 'tokens per second, with over without', 'drafted', 'accepted'],
        rows: () => draftKinds.map(draftRow),
      },
      { header: ['file', 'command'] },
    ],
    quotes: () => {
      const attentionTime = (tier: string): number => valueOf('attention', attentionCase(1)(tier));
      const exact = valueOf('completion', 'completion/all/file/int8/exact');
      const derived = 'kernels';
      const measured = [...recordedRuns.keys()].filter((run) => run !== derived);
      const derivedMisses = missesOf(derived);
      const int8Miss = kernelCase('Qwen2.5-Coder-7B', 'int8', 'model of H100');
      const int4Read = kernelCase('Qwen2.5-Coder-7B', 'int4', 'read');
      const int4Model = kernelCase('Qwen2.5-Coder-7B', 'int4', 'model of');
      const int4Misses = derivedMisses.filter((row) => row.case.startsWith(int4Model));
      return [
        `There a keystroke evaluates ${releaseTokens('commander').value} tokens, in commander's files and in minimatch's, where the other policy takes ${releaseTokens('commander').other} and ${releaseTokens('minimatch').other} (`,
        `for one key in ${inWords(Math.round(100 / asked('slow-0.5b')))}, and ${valueOf('typing', 'typing/slow-0.5b/wasted') === 0 ? 'nothing' : 'some'} it does is given up;`,
        `one thread, ${grouped(valueOf('restart', 'restart/bundled-8k/tokens'))} and ${grouped(valueOf('restart', 'restart/0.5b/tokens'))} tokens`,
        `(for ${range([asked('context-16k/file=4k'), asked('context-16k/file=14k')])} % of the keys)`,
        `The bundled model is asked for ${percent(asked('bundled-8k'))} of them, and ${percent(valueOf('typing', 'typing/bundled-8k/answered'))} are answered.`,
        `it writes one hole in ${(100 / exact).toFixed(0)} exactly`,
        `All ${sameCompletions()} completions have the same tokens.`,
        `${capitalised(inWords(measured.flatMap(missesOf).length))} of the figures asked for were not reached:`,
        `int8 against our own FP16 at 16 384 tokens: ${times(ratioOf('decode-16384', againstFull))} of the ${mustOf('decode-16384', againstFull)}x asked for.`,
        `Decoding with FP16 is itself ${times(ratioOf('decode-16384', decode(16384)('full')), 1)} of stock's`,
        `Alone int8 attention is ${(attentionTime('full') / attentionTime('int8')).toFixed(1)} times as fast as FP16`,
        `The share of the floor at 16 384 tokens: ${percent(100 * valueOf('decode-16384', floorShare))} of the ${percent(100 * mustOf('decode-16384', floorShare))} asked for`,
        `int8 would be ${times((floor() - cacheFloor('int8') + cacheFloor('full')) / floor())} as fast,`,
        `Memory could deliver the weights in ${(floor() - cacheFloor('int8')).toFixed(0)} ms a token and the cache in ${cacheFloor('int8').toFixed(0)};`,
        `${capitalised(inWords(derivedMisses.length))} of those in \`kernels.json\``,
        `the bytes that int4 reads (${valueOf(derived, int4Read).toFixed(3)} of ${mustOf(derived, int4Read)}), int8 on an H100 (${times(ratioOf(derived, int8Miss))} of ${mustOf(derived, int8Miss)}x), and int4 on ${inWords(int4Misses.length)} of the GPUs (${int4Ratios(int4Misses)} of ${mustOf(derived, `${int4Model} H100`)}x).`,
      ];
    },
    sections: ['Typing', 'Restarts', 'Completions', 'Drafts', 'Recorded runs'],
    setup: [
      '90 characters in the middle of the first',
      '30 characters further down, 30 in the second file, and 30 back in the first; a completion of 16 tokens',
      '256 lines before the cursor, 64 after it',
      'the random-weight one with 16 384 tokens',
      'on the model with 16 384 tokens. Lines',
      '300 where none is given',
      'has files of 4 000 and of 14 000 tokens',
      'The keys in a rhythm come every 30 ms',
      'and a key every 150 ms',
      'the model with 16 384 tokens is asked',
      'three files of some 1 900 tokens each and asks for a completion of 16 tokens',
      'of 9 000 to 15 000 characters',
      '120 of each',
      'sees 1 024 tokens around the hole',
      '512 tokens around the hole',
      '1 less the edits',
      'not within 4 000 characters',
      'their 95 % interval',
      'write 64 tokens behind each of 40 prompts',
      'go on behind 9 000 characters',
      'at a temperature of 1.5',
      'n in n + 3',
    ],
  },
  {
    path: 'docs/evaluation.md',
    tables: [
      reportTable('eval', 4096),
      reportTable('eval', 8192),
      reportTable('eval-python', 8192, withoutNeedles),
      reportTable('eval-key-biases', 8192, withoutNeedles),
      {
        header: ['cache', 'same likeliest token', 'perplexity', 'mean KL divergence'],
        rows: () => [
          qualityRow('int8', 'int8', 'quality-key-biases'),
          qualityRow('int4', 'int4', 'quality-key-biases'),
          qualityRow('llama.cpp `q8_0`', 'llama.cpp q8_0 fa=on', 'quality-key-biases'),
          qualityRow('llama.cpp `q4_0`', 'llama.cpp q4_0 fa=on', 'quality-key-biases'),
        ],
      },
    ],
    quotes: () => [
      `${reportOf('eval').corpus.files} files of [six pinned packages]`,
      `${reportOf('eval-python').corpus.files} files (PSF-2.0)`,
      `At 4 096 tokens it is ${smallerThan('selective:int8', 4096)} times smaller where 1.8 were asked for`,
      `With a window of 128 it is ${smallerThan('selective:int8:128', 4096)} times smaller`,
      `\`q4_0\` changes perplexity by ${change(valueOf('quality', 'quality/llama.cpp q4_0 fa=on/context=8192/perplexity-change'))}:`,
      `(${range(foundByFull())} of 20, of which guessing finds 2.5)`,
    ],
    sections: ['On packages', "On Python's standard library", 'With outlying keys'],
    setup: [
      'At 4 096 tokens:',
      'At 8 192 tokens, as long as the model was trained',
      'up to 400 tokens are FP16',
      'At 8 192 tokens both stay below 3 % of perplexity; at 4 096 their intervals reach beyond.',
      'as Debian 12 has them',
      'At 8 192 tokens (',
      'by blocks of 32 channels',
      'in contexts of 8 192 tokens;',
    ],
  },
  {
    path: 'docs/performance.md',
    tables: [
      {
        header: ['shape', 'fp16', 'int8', 'k8v4', 'int4'],
        rows: () => ['Llama-3-8B', 'Qwen2.5-Coder-7B'].map(readRow),
      },
      gpuTable('Llama-3-8B'),
      gpuTable('Qwen2.5-Coder-7B'),
    ],
    quotes: () => [],
    sections: ['Bytes', 'A model of the time'],
    setup: [
      'the 32-byte sectors',
      'At 32 768 tokens, with sink and window as the policy `selective` has them and 32 splits',
      'What is above 1 is',
      '92 % of the published bandwidth, 3 microseconds for launch, start and end',
      'Microseconds at 32 768 tokens',
      'there 4 bits are worth less than 3 times',
    ],
  },
];

/** What other documents say in units of measurement: settings, limits, and an example that prints what it found. */
export const limits: Readonly<Record<string, readonly string[]>> = {
  'docs/architecture.md': [
    'for 0.1 seconds or one round of steps',
    'less than 1.1 times',
    'up to 512 KiB',
    'at most 2 GiB',
    'gives up after 250 ms',
    'ends within 20 ms and a decode step',
    'at most 300 ms',
    'after a pause of 0.3 seconds',
  ],
  'docs/backend.md': ['in 2.20 MiB', 'as FP16 3.40 MiB'],
  'docs/cli.md': [
    '(mean, median, 99.9 %)',
    'those of 95 % confidence',
    '`12GB` is 12 GiB',
    '(256 MiB to 4 GiB)',
    '(8 to 256 MiB)',
  ],
  'docs/cuda.md': ['from 8 to 256 MiB'],
  'docs/profiling.md': ['rows below 0.5 % are one line'],
  'docs/protocol.md': [
    'within 20 ms and one decode step',
    '0 to 1048576 MiB',
    'than 512 KiB',
    'about 80 MB',
    'after 0.7 seconds',
    'what 99 % of the positions are below',
  ],
  'docs/serve.md': ['a comment every 15 seconds', 'larger than 16 MiB'],
};
