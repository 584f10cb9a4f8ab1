/**
 * What all benchmarks share: options, samples taken in turn, ratios against a baseline, the table
 * and the JSON file. The file's shape and how to read it are in docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { spread } from './statistics.ts';
import { median } from '../sidecar/evaluation/statistics.ts';
import { targetOf } from './targets.ts';

export interface Options {
  /** Under two minutes in all. */
  readonly quick: boolean;
  readonly threads: number;
  /** Whether `--cases` selects this case. */
  readonly selects: (caseName: string) => boolean;
  /** What was given for the benchmark's own options. */
  readonly own: Readonly<Record<string, string | undefined>>;
}

export interface Benchmark {
  readonly name: string;
  /** What the report calls the model. */
  readonly model: (options: Options) => string;
  /** The GPU it ran on, once it has. */
  readonly gpu?: () => string | null;
  /** Names of further options, each of which takes a value. */
  readonly options?: readonly string[];
  readonly measure: (options: Options) => AsyncIterable<Row>;
}

/** One measured case. Where `baseline` is absent, `must` and `goal` are about `value` itself. */
export interface Row {
  readonly case: string;
  /** Median of the samples. */
  readonly value: number;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  readonly baseline?: { readonly name: string; readonly value: number };
  /** Median of the pairs' ratios; above 1 is better than the baseline, whichever way `better` points. */
  readonly ratio?: number;
  readonly must?: number;
  readonly goal?: number;
  readonly runs: number;
  /** Interquartile range over the median: of the ratios where there are any, else of the samples. */
  readonly spread: number;
}

/** What a case is called and measured in. What is asked of it is in targets.ts. */
export type Case = Pick<Row, 'case' | 'unit' | 'better'>;

/**
 * Runs a benchmark as a program: prints every row as it comes, then the table, and writes the JSON
 * file asked for. Exits with 0 whatever the figures are, with 1 where something could not be
 * measured, with 2 on options it does not know.
 */
export async function runBenchmark(benchmark: Benchmark): Promise<void> {
  const { options, json } = readArguments(benchmark.options ?? []);
  const rows: Row[] = [];
  try {
    for await (const row of benchmark.measure(options)) {
      rows.push(row);
      progress(describeRow(row));
    }
    if (rows.length === 0) throw new Error('--cases selects nothing');
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
  }
  const { threads } = options;
  const model = benchmark.model(options);
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
  console.log(`${benchmark.name}: ${model}, ${threads} thread(s), ${cpu}\n${table(rows)}`);
  if (json !== undefined) {
    const report = {
      bench: benchmark.name,
      commit: commit(),
      machine: { cpu, threads, gpu: benchmark.gpu?.() ?? null },
      model,
      when: new Date().toISOString(),
      rows,
    };
    fs.writeFileSync(json, `${JSON.stringify(report, undefined, 2)}\n`);
  }
}

/** A line about what goes on; standard output is for the table. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

function readArguments(ownNames: readonly string[]): {
  readonly options: Options;
  readonly json: string | undefined;
} {
  const text = { type: 'string' } as const;
  const ownOptions = Object.fromEntries(ownNames.map((name) => [name, text]));
  try {
    const { values } = parseArgs({
      options: {
        ...ownOptions,
        quick: { type: 'boolean' },
        json: text,
        cases: text,
        threads: text,
      },
    });
    const { quick = false, json, cases = '', threads: count = '1' } = values;
    const pattern = new RegExp(cases);
    const threads = Number(count);
    if (!Number.isInteger(threads) || threads < 1) throw new Error('--threads takes a count');
    const selects = (name: string): boolean => pattern.test(name);
    const given: Readonly<Record<string, string | boolean | undefined>> = values;
    const own = Object.fromEntries(ownNames.map((name) => [name, given[name]?.toString()]));
    return { options: { quick, threads, selects, own }, json };
  } catch (error) {
    const more = ownNames.map((name) => ` [--${name} ${name.toUpperCase()}]`).join('');
    console.error(error instanceof Error ? error.message : error);
    console.error(`Options: [--quick] [--cases REGEXP] [--threads N] [--json FILE]${more}`);
    process.exit(2);
  }
}

/**
 * Samples all contenders once a round, one after the other (A B A B), so that a slow spell of the
 * machine meets all of them.
 */
export async function sampleInTurn<K>(
  rounds: number,
  contenders: ReadonlyMap<K, () => Promise<number>>,
): Promise<ReadonlyMap<K, readonly number[]>> {
  const samples = new Map([...contenders.keys()].map((key): [K, number[]] => [key, []]));
  for (let round = 0; round < rounds; round++)
    for (const [key, sample] of contenders) samples.get(key)?.push(await sample());
  return samples;
}

/**
 * A row from samples and, pair by pair, those of the baseline. Where one of the two has fewer, its
 * samples pair with the other's first ones.
 */
export function rowOf(
  what: Case,
  samples: readonly number[],
  baseline?: { readonly name: string; readonly samples: readonly number[] },
): Row {
  const row = { ...what, ...targetOf(what.case), value: median(samples) };
  if (!baseline) return { ...row, runs: samples.length, spread: spread(samples) };
  const pairs = Math.min(samples.length, baseline.samples.length);
  const ratios = Array.from({ length: pairs }, (_, index) => {
    const [ours = Number.NaN, theirs = Number.NaN] = [samples[index], baseline.samples[index]];
    return what.better === 'higher' ? ours / theirs : theirs / ours;
  });
  return {
    ...row,
    baseline: { name: baseline.name, value: median(baseline.samples) },
    ratio: median(ratios),
    runs: pairs,
    spread: spread(ratios),
  };
}

/** Whether a row reaches its `must`; rows without one reach it. */
export function reaches({ better, value, ratio, must }: Row): boolean {
  if (must === undefined) return true;
  if (ratio !== undefined) return ratio >= must;
  return better === 'higher' ? value >= must : value <= must;
}

function describeRow(row: Row): string {
  const ratio =
    row.ratio === undefined ? '' : `, ${row.ratio.toFixed(3)}x of ${row.baseline?.name ?? ''}`;
  return `${row.case}: ${figure(row.value)} ${row.unit}${ratio}`;
}

function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.case,
    `${figure(row.value)} ${row.unit}`,
    row.baseline ? `${figure(row.baseline.value)} (${row.baseline.name})` : '',
    row.ratio?.toFixed(3) ?? '',
    row.must === undefined ? '' : `${row.must} ${reaches(row) ? 'ok' : 'MISSED'}`,
    row.goal === undefined ? '' : String(row.goal),
    `${(100 * row.spread).toFixed(1)} % of ${row.runs}`,
  ]);
  const lines = [['case', 'value', 'baseline', 'ratio', 'must', 'goal', 'spread'], ...cells];
  const widths = lines[0]?.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

function figure(value: number): string {
  return value >= 1000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

/** With `-dirty` where more than documents, among them the reports themselves, is not committed. */
function commit(): string {
  const git = (...args: string[]): { readonly status: number | null; readonly stdout: string } =>
    spawnSync('git', args, { cwd: path.dirname(import.meta.dirname), encoding: 'utf8' });
  const name = git('describe', '--always');
  if (name.status !== 0) return 'unknown';
  const isClean = git('diff', '--quiet', 'HEAD', '--', ':!docs').status === 0;
  return `${name.stdout.trim()}${isClean ? '' : '-dirty'}`;
}
