import { qualitySource } from '../fit/quality.ts';
import type { Recommendation } from '../fit/recommend.ts';
import type { CacheFit, Place } from '../fit/room.ts';
import type { Candidate } from '../fit/source.ts';
import { roomIn } from '../models/fit.ts';
import type { LayerShape } from '../models/header.ts';
import { bytes, change, count, percent } from './output.ts';

/** Where a model is to run, and whether that is known to be possible. */
export interface PlaceReport extends Place {
  /** Of a GPU of this machine. */
  readonly name?: string;
  readonly ready?: boolean;
}

/** One quantisation. */
interface CandidateReport extends Candidate {
  readonly caches: readonly CacheFit[];
  readonly recommendation: Recommendation;
}

/** What `sightline fit --json` prints. Bytes and tokens. */
export interface FitReport {
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    /** 0: the file does not say. */
    readonly trainedTokens: number;
    readonly layers: readonly LayerShape[];
  };
  readonly place: PlaceReport;
  readonly contextTokens: number;
  readonly warnings: readonly string[];
  /** The smallest first. */
  readonly candidates: readonly CandidateReport[];
}

/** For a terminal. One quantisation is told with all that is said of it, several with a row each. */
export function formatFit(report: FitReport): string {
  const { candidates } = report;
  const [first] = candidates;
  if (first === undefined) return '';
  const { caches } = first;
  const lines =
    candidates.length === 1
      ? [
          `weights  ${weights(first)}`,
          `step     ${bytes(caches[0]?.stepBytes ?? 0)} for a step of prefill`,
          '',
          ...table([
            ['cache', 'bytes', 'FP16 / it', 'fits', 'to spare', 'longest context', ...qualityHead],
            ...caches.map((cache) => [
              cache.name,
              held(cache),
              ratio(cache),
              cache.fits ? 'yes' : 'no',
              signed(cache.spareBytes),
              tokens(cache.longestTokens),
              ...quality(cache),
            ]),
          ]),
          ...notes(caches),
          '',
          ...advice(first.recommendation),
        ]
      : [
          '',
          ...table([
            ['cache', 'bytes', 'FP16 / it', ...qualityHead],
            ...caches.map((cache) => [cache.name, held(cache), ratio(cache), ...quality(cache)]),
          ]),
          ...notes(caches),
          '',
          'Longest context that fits beside the weights:',
          ...table([
            ['quantisation', 'weights', ...compared(caches).map(({ name }) => name), 'take'],
            ...candidates.map((candidate) => [
              label(candidate, candidates),
              bytes(candidate.weightBytes),
              ...compared(candidate.caches).map(({ longestTokens }) => tokens(longestTokens)),
              candidate.recommendation.cache ?? 'nothing fits',
            ]),
          ]),
          '',
          ...best(candidates),
        ];
  return [...head(report), ...lines].join('\n');
}

function head({ model, place, contextTokens }: FitReport): string[] {
  const { name, architecture, layers, trainedTokens } = model;
  const trained =
    trainedTokens > 0 ? `, trained for ${count(trainedTokens)} tokens` : ', trained for who knows';
  const room = roomIn(place.bytes, place.device);
  const whose = place.device === 'gpu' ? `of ${place.name ?? 'a GPU'}` : 'of the system';
  return [
    `model    ${name} (${architecture}), ${shapes(layers)}${trained}`,
    `memory   ${bytes(place.bytes)} ${whose}, ${bytes(room)} of it for the model`,
    `context  ${count(contextTokens)} tokens`,
  ];
}

/** Kinds of layers, with how many there are of each. */
function shapes(layers: readonly LayerShape[]): string {
  const kinds = new Map<string, number>();
  for (const { kvHeads, keySize, valueSize } of layers) {
    const size = keySize === valueSize ? `${keySize}` : `${keySize} and ${valueSize}`;
    const kind =
      kvHeads === 0
        ? 'no KV cache'
        : `${kvHeads} KV ${kvHeads === 1 ? 'head' : 'heads'} of ${size}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  return [...kinds]
    .map(([kind, n]) => `${n} ${n === 1 ? 'layer' : 'layers'} with ${kind}`)
    .join(', ');
}

/** The quantisation, or the file where that does not tell which is meant. */
function label({ quantisation, file, files }: Candidate, all: readonly Candidate[] = []): string {
  const tells = all.filter((one) => one.quantisation === quantisation).length < 2;
  const name = quantisation !== '' && tells ? quantisation : file;
  return files > 1 ? `${name} (${files} files)` : name;
}

const weights = (candidate: Candidate): string =>
  `${bytes(candidate.weightBytes)}, ${label(candidate)}`;

const signs = { exact: '', most: '<= ', least: '>= ' } as const;

const held = ({ cacheBytes, bound }: CacheFit): string => `${signs[bound]}${bytes(cacheBytes)}`;

const ratio = (cache: CacheFit): string => `${cache.ratio.toFixed(2)}x`;

const signed = (value: number): string => (value < 0 ? `-${bytes(-value)}` : bytes(value));

const tokens = (value: number): string => (value > 0 ? count(value) : '-');

const qualityHead = ['same token', 'perplexity', 'divergence'];

function quality({ policy, quality: found }: CacheFit): string[] {
  if (policy === 'full') return ['reference', '', ''];
  if (found === undefined) return ['not measured', '', ''];
  return [
    percent(found.sameTop),
    change(found.perplexityChange),
    `${found.divergence.toExponential(1)} nats`,
  ];
}

/** As many as a terminal has room for: those to choose from, or the one that was asked about. */
const compared = (caches: readonly CacheFit[]): readonly CacheFit[] =>
  caches.length === 1
    ? caches
    : caches.filter(({ policy }) => policy === 'full' || policy === 'selective');

/** What the table needs to be understood. */
function notes(caches: readonly CacheFit[]): string[] {
  const lines: string[] = [];
  const contexts = [
    ...new Set(caches.flatMap(({ quality: found }) => (found ? [found.contextTokens] : []))),
  ];
  if (contexts.length > 0) {
    const lengths = contexts.map(count).join(' and ');
    lines.push(
      `Same likeliest token, change of perplexity, mean KL divergence: against FP16 in contexts of ${lengths} tokens,`,
      `measured with ${qualitySource.model} (${qualitySource.command}, ${qualitySource.file}); other models differ.`,
    );
  }
  if (caches.some(({ dropsTokens }) => dropsTokens)) {
    const names = caches.filter(({ dropsTokens }) => dropsTokens).map(({ policy }) => policy);
    lines.push(`Tokens are lost for good with ${[...new Set(names)].join(', ')}.`);
  }
  if (caches.some(({ bound }) => bound === 'least')) {
    lines.push('auto takes more as --budget, or half of what the weights leave, has room.');
  }
  return lines.length > 0 ? ['', ...lines] : [];
}

function advice({ cache, reason, advice: ways, byLength }: Recommendation): string[] {
  return [
    `take     ${cache ?? 'none: nothing that keeps every token fits'}`,
    `why      ${reason}`,
    ...ways.map((way) => `or       ${way}`),
    `rule     by its length alone the context would take ${byLength.cache}: ${byLength.reason}`,
  ];
}

/** Of several quantisations: the largest that fits, and the largest that does with an FP16 cache. */
function best(candidates: readonly CandidateReport[]): string[] {
  const fitting = candidates.filter(({ recommendation }) => recommendation.cache !== undefined);
  const [smallest] = candidates;
  const largest = fitting.at(-1);
  if (largest === undefined) return smallest === undefined ? [] : advice(smallest.recommendation);
  const rest = fitting.findLast(({ recommendation }) => recommendation.cache === 'full');
  const other =
    rest === undefined || rest === largest
      ? ''
      : ` With FP16 throughout it is ${label(rest, candidates)}.`;
  return [
    `The largest that fits is ${label(largest, candidates)}.${other}`,
    ...advice(largest.recommendation),
  ];
}

/** The first column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
