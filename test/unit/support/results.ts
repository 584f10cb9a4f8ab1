/** The recorded runs of the benchmarks, docs/results/*.json: what the documents quote. */
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Row } from '../../../bench/harness.ts';
import { parseReport, type Report } from '../../../sidecar/evaluation/report/report.ts';

const folder = new URL('../../../docs/results/', import.meta.url);

const row: z.ZodType<Row> = z.object({
  case: z.string(),
  value: z.number(),
  unit: z.string(),
  better: z.enum(['higher', 'lower']),
  baseline: z.object({ name: z.string(), value: z.number() }).exactOptional(),
  ratio: z.number().exactOptional(),
  must: z.number().exactOptional(),
  goal: z.number().exactOptional(),
  runs: z.number(),
  spread: z.number(),
});

const recordedRun = z.object({
  bench: z.string(),
  machine: z.object({ cpu: z.string(), threads: z.number() }),
  rows: z.array(row).nonempty(),
});

export type RecordedRun = z.infer<typeof recordedRun>;

/** By the name of its file without `.json`. */
export const recordedRuns: ReadonlyMap<string, RecordedRun> = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => [
      name.slice(0, -'.json'.length),
      recordedRun.parse(JSON.parse(readFileSync(new URL(name, folder), 'utf8'))),
    ]),
);

function required<T>(what: T | undefined, name: string): T {
  if (what === undefined) throw new Error(`docs/results has no ${name}`);
  return what;
}

/** The reports of `sightline eval`, by the names of their folders in docs/results. */
export const reports: ReadonlyMap<string, Report> = new Map(
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => [
      name,
      parseReport(readFileSync(new URL(`${name}/report.json`, folder), 'utf8')),
    ]),
);

export const reportOf = (name: string): Report =>
  required(reports.get(name), `${name}/report.json`);

export const runOf = (run: string): RecordedRun => required(recordedRuns.get(run), `${run}.json`);

export const rowOf = (run: string, name: string): Row =>
  required(
    runOf(run).rows.find((row) => row.case === name),
    `case ${name} in ${run}.json`,
  );

export const valueOf = (run: string, name: string): number => rowOf(run, name).value;

export const ratioOf = (run: string, name: string): number =>
  required(rowOf(run, name).ratio, `ratio of ${name} in ${run}.json`);

export const mustOf = (run: string, name: string): number =>
  required(rowOf(run, name).must, `bound of ${name} in ${run}.json`);

export const baselineOf = (run: string, name: string): NonNullable<Row['baseline']> =>
  required(rowOf(run, name).baseline, `baseline of ${name} in ${run}.json`);
