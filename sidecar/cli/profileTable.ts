import { bytes, count } from '../figures.ts';
import { sampled, type GrowthPoint } from '../profile/growth.ts';
import type { ProfileReport } from '../profile/report.ts';
import type { PhaseSummary, Row } from '../profile/summary.ts';

/** Rows with less of the time are one line together. */
const smallShare = 0.005;
const mostGrowthLines = 12;

/** The tables for a terminal. */
export function formatProfile(report: ProfileReport): string {
  const { model, cache, phases, growth } = report;
  const where = model.gpu === undefined ? '' : `, ${model.gpuLayers} layers on ${model.gpu}`;
  const tier = 'tier' in cache && typeof cache.tier === 'string' ? ` ${cache.tier}` : '';
  return [
    `model    ${model.name} (${model.architecture}, ${(model.parameters / 1e6).toFixed(1)} M parameters, ${model.layers} layers), ${model.threads} ${model.threads === 1 ? 'thread' : 'threads'}, ${model.kernels} kernels${where}`,
    `cache    ${cache.policy}${tier}`,
    `tokens   prompt ${count(report.promptTokens)}, generated ${count(report.generatedTokens)}`,
    ...phases.flatMap((phase) => ['', ...phaseLines(phase)]),
    ...(growth.length === 0 ? [] : ['', ...growthLines(growth)]),
    ...(report.lostSteps > 0
      ? ['', `The last ${count(report.lostSteps)} steps are not counted: ask for fewer tokens.`]
      : []),
  ].join('\n');
}

function phaseLines(summary: PhaseSummary): string[] {
  const { phase, steps, tokens, rows, operationSeconds, unprofiled } = summary;
  const shown = rows.filter(({ share }) => share >= smallShare);
  const rest = rows.slice(shown.length);
  const lines = shown.map((row) => cells(row.operation, row.kernel, [row], operationSeconds));
  if (rest.length > 0) lines.push(cells(`${rest.length} others`, '', rest, operationSeconds));
  const header = ['operation', 'kernel', 'calls', 'ms', 'share', 'GFLOP', 'GFLOP/s', 'MB', 'GB/s'];
  const all = cells('all operations', '', rows, operationSeconds);
  return [
    `${phase}  ${count(steps)} ${steps === 1 ? 'step' : 'steps'}, ${count(tokens)} tokens`,
    ...aligned([header, ...lines, all], 2),
    ...(unprofiled === undefined
      ? []
      : [
          `  ${unprofiled.steps === steps ? 'the same steps' : `${count(unprofiled.steps)} of these steps`} without a profile: ${milliseconds(unprofiled.seconds)} ms; their operations one by one take ${unprofiled.ratio.toFixed(2)}x of that`,
        ]),
  ];
}

function cells(name: string, kernel: string, rows: readonly Row[], all: number): string[] {
  const sum = (value: (row: Row) => number): number =>
    rows.reduce((total, row) => total + value(row), 0);
  const seconds = sum((row) => row.seconds);
  const [flops, moved] = [sum((row) => row.flops), sum((row) => row.bytes)];
  const rate = (amount: number): string =>
    seconds > 0 && amount > 0 ? digits(amount / 1e9 / seconds) : '';
  return [
    name,
    kernel,
    count(sum((row) => row.calls)),
    milliseconds(seconds),
    all > 0 ? `${((seconds / all) * 100).toFixed(1)} %` : '',
    flops > 0 ? digits(flops / 1e9) : '',
    rate(flops),
    digits(moved / 1e6),
    rate(moved),
  ];
}

function growthLines(growth: readonly GrowthPoint[]): string[] {
  const tiers = [...new Set(growth.flatMap((point) => Object.keys(point.tiers)))];
  const header = ['phase', 'tokens', ...tiers, 'total', 'as FP16', 'FP16 / total'];
  const lines = sampled(growth, mostGrowthLines).map((point) => [
    point.phase,
    count(point.tokens),
    ...tiers.map((tier) => {
      const held = point.tiers[tier];
      return held === undefined ? '' : bytes(held);
    }),
    bytes(point.bytes),
    bytes(point.fp16Bytes),
    point.bytes > 0 ? `${(point.fp16Bytes / point.bytes).toFixed(2)}x` : '',
  ]);
  return ['cache growth', ...aligned([header, ...lines], 1)];
}

/** Columns of a width each; the first `left` start at the same place, the others end there. */
function aligned(rows: readonly (readonly string[])[], left: number): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    `  ${row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < left ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')}`.trimEnd(),
  );
}

const milliseconds = (seconds: number): string => (seconds * 1000).toFixed(2);

/** Three digits that count; two of what is very little. */
const digits = (value: number): string => {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  if (value >= 1) return value.toFixed(2);
  return value >= 0.001 ? value.toFixed(3) : String(Number(value.toPrecision(2)));
};
