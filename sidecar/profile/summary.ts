import type { Operation, Profile, ProfiledStep } from '../engine/addon.ts';

export type Phase = 'prefill' | 'decode';

/** The first steps evaluate the prompt. */
export const phaseOf = (step: Pick<ProfiledStep, 'first'>, promptTokens: number): Phase =>
  step.first < promptTokens ? 'prefill' : 'decode';

/** What an operation took in a phase, over all layers. */
export interface Row {
  /** Its name, and that of its weights or its result: `MUL_MAT ffn_gate`. */
  readonly operation: string;
  /** Of ours: kernels and tiers, `avx2 fp16+int8`; else empty. */
  readonly kernel: string;
  readonly device: string;
  readonly calls: number;
  readonly seconds: number;
  /** Of the seconds of all operations in the phase. */
  readonly share: number;
  readonly flops: number;
  readonly bytes: number;
  /** Bytes of our cache that were read, by tier. */
  readonly cacheBytes: Readonly<Record<string, number>>;
}

export interface PhaseSummary {
  readonly phase: Phase;
  readonly steps: number;
  readonly tokens: number;
  /** The longest first. */
  readonly rows: readonly Row[];
  /** Of all operations, each run by itself. */
  readonly operationSeconds: number;
  /** The same steps as they run without a profile; absent where that was not measured. */
  readonly unprofiled: Unprofiled | undefined;
}

interface Unprofiled {
  /** So many of the phase's steps. */
  readonly steps: number;
  readonly seconds: number;
  /** The seconds of the operations in these steps, over `seconds`. */
  readonly ratio: number;
}

/** The phases that the profile has steps of. `unprofiled`: the same steps, or the first of them, run without. */
export function summarise(
  profile: Profile,
  unprofiled: readonly ProfiledStep[],
  promptTokens: number,
): PhaseSummary[] {
  const phases: readonly Phase[] = ['prefill', 'decode'];
  return phases
    .map((phase) => summaryOf(phase, profile, unprofiled, promptTokens))
    .filter(({ steps }) => steps > 0);
}

function summaryOf(
  phase: Phase,
  { operations, events, steps }: Profile,
  unprofiled: readonly ProfiledStep[],
  promptTokens: number,
): PhaseSummary {
  const inPhase = steps.map((step) => phaseOf(step, promptTokens) === phase);
  const rows = new Map<string, { -readonly [Key in keyof Row]: Row[Key] }>();
  const stepSeconds = steps.map(() => 0);
  for (const { operation: index, step, duration, flops, bytes, cacheBytes } of events) {
    const operation = operations[index];
    if (operation === undefined || inPhase[step] !== true) continue;
    const names = namesOf(operation);
    const key = Object.values(names).join('\0');
    let row = rows.get(key);
    if (row === undefined) {
      row = { ...names, calls: 0, seconds: 0, share: 0, flops: 0, bytes: 0, cacheBytes: {} };
      rows.set(key, row);
    }
    const seconds = duration / 1e6;
    row.calls++;
    row.seconds += seconds;
    row.flops += flops;
    row.bytes += bytes;
    if (cacheBytes !== undefined) row.cacheBytes = added(row.cacheBytes, cacheBytes);
    stepSeconds[step] = (stepSeconds[step] ?? 0) + seconds;
  }
  const operationSeconds = sum(stepSeconds);
  for (const row of rows.values())
    row.share = operationSeconds > 0 ? row.seconds / operationSeconds : 0;
  const ofPhase = steps.flatMap((step, index) =>
    inPhase[index] === true ? [{ ...step, operationSeconds: stepSeconds[index] ?? 0 }] : [],
  );
  return {
    phase,
    steps: ofPhase.length,
    tokens: sum(ofPhase.map(({ tokens }) => tokens)),
    rows: [...rows.values()].sort((one, other) => other.seconds - one.seconds),
    operationSeconds,
    unprofiled: compare(ofPhase, unprofiled),
  };
}

function compare(
  steps: readonly (ProfiledStep & { readonly operationSeconds: number })[],
  unprofiled: readonly ProfiledStep[],
): Unprofiled | undefined {
  const known = new Map(unprofiled.map((step) => [`${step.first} ${step.tokens}`, step.duration]));
  const both = steps.flatMap(({ first, tokens, operationSeconds }) => {
    const duration = known.get(`${first} ${tokens}`);
    return duration === undefined ? [] : [{ seconds: duration / 1e6, operationSeconds }];
  });
  const seconds = sum(both.map((step) => step.seconds));
  if (seconds === 0) return undefined;
  const ratio = sum(both.map((step) => step.operationSeconds)) / seconds;
  return { steps: both.length, seconds, ratio };
}

const namesOf = ({
  name,
  role,
  kernel,
  tiers,
  device,
}: Operation): Pick<Row, 'operation' | 'kernel' | 'device'> => ({
  operation: joined([name, role]),
  kernel: joined([kernel, tiers]),
  device,
});

const joined = (parts: readonly (string | undefined)[]): string =>
  parts.filter((part) => part !== undefined && part !== '').join(' ');

function added(
  sums: Readonly<Record<string, number>>,
  more: Readonly<Record<string, number>>,
): Record<string, number> {
  const all = { ...sums };
  for (const [name, bytes] of Object.entries(more)) all[name] = (all[name] ?? 0) + bytes;
  return all;
}

const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
