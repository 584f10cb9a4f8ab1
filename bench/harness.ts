/**
 * What all benchmarks share: options, samples taken in turn, ratios against a baseline, the table
 * and the JSON file. The file's shape and how to read it are in docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';

export interface Options {
  /** Under two minutes in all. */
  readonly quick: boolean;
  readonly threads: number;
  /** Whether `--cases` selects this case. */
  readonly selects: (caseName: string) => boolean;
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

/** What a case is called and what is asked of it. */
export type Case = Pick<Row, 'case' | 'unit' | 'better' | 'must' | 'goal'>;

/**
 * Runs a benchmark as a program: prints every row as it comes, then the table, and writes the JSON
 * file asked for. Exits with 0 whatever the figures are, with 1 where something could not be
 * measured, with 2 on options it does not know.
 */
export async function runBenchmark(
  bench: string,
  model: string,
  measure: (options: Options) => AsyncIterable<Row>,
): Promise<void> {
  const arguments_ = readArguments();
  const rows: Row[] = [];
  try {
    for await (const row of measure(arguments_.options)) {
      rows.push(row);
      progress(describeRow(row));
    }
    if (rows.length === 0) throw new Error('--cases selects nothing');
  } catch (error) {
    process.exitCode = 1;
    console.error(error);
  }
  const { threads } = arguments_.options;
  const cpu = os.cpus()[0]?.model.trim() ?? 'unknown';
  console.log(`${bench}: ${model}, ${threads} thread(s), ${cpu}\n${table(rows)}`);
  if (arguments_.json !== undefined) {
    const machine = { cpu, threads, gpu: null };
    const report = {
      bench,
      commit: commit(),
      machine,
      model,
      when: new Date().toISOString(),
      rows,
    };
    fs.writeFileSync(arguments_.json, `${JSON.stringify(report, undefined, 2)}\n`);
  }
}

/** A line about what goes on; standard output is for the table. */
export function progress(line: string): void {
  process.stderr.write(`${line}\n`);
}

function readArguments(): { readonly options: Options; readonly json: string | undefined } {
  try {
    const { values } = parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        json: { type: 'string' },
        cases: { type: 'string', default: '' },
        threads: { type: 'string', default: '1' },
      },
    });
    const cases = new RegExp(values.cases);
    const threads = Number(values.threads);
    if (!Number.isInteger(threads) || threads < 1) throw new Error('--threads takes a count');
    const selects = (name: string): boolean => cases.test(name);
    return { options: { quick: values.quick, threads, selects }, json: values.json };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    console.error('Options: [--quick] [--cases REGEXP] [--threads N] [--json FILE]');
    process.exit(2);
  }
}

/**
 * Samples all contenders once a round, one after the other (A B A B), so that a slow spell of the
 * machine meets all of them. The first round only warms up and is not kept.
 */
export async function sampleInTurn<K>(
  rounds: number,
  contenders: ReadonlyMap<K, () => Promise<number>>,
): Promise<ReadonlyMap<K, readonly number[]>> {
  const samples = new Map([...contenders.keys()].map((key): [K, number[]] => [key, []]));
  for (let round = 0; round <= rounds; round++) {
    for (const [key, sample] of contenders) {
      const value = await sample();
      if (round > 0) samples.get(key)?.push(value);
    }
  }
  return samples;
}

/** A row from samples and, pair by pair, those of the baseline. */
export function rowOf(
  what: Case,
  samples: readonly number[],
  baseline?: { readonly name: string; readonly samples: readonly number[] },
): Row {
  const row = { ...what, value: median(samples), runs: samples.length };
  if (!baseline) return { ...row, spread: spread(samples) };
  const ratios = samples.map((sample, index) => {
    const other = baseline.samples[index] ?? Number.NaN;
    return what.better === 'higher' ? sample / other : other / sample;
  });
  return {
    ...row,
    baseline: { name: baseline.name, value: median(baseline.samples) },
    ratio: median(ratios),
    spread: spread(ratios),
  };
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function spread(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values);
}

/** Interpolated between the neighbours. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (position - Math.floor(position)) * (above - below);
}

/** Whether a row reaches its `must`; rows without one reach it. */
function reaches({ better, value, ratio, must }: Row): boolean {
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

function commit(): string {
  const git = spawnSync('git', ['describe', '--always', '--dirty'], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
  });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}
