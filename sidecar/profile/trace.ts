import type { Operation, OperationEvent, Profile, ProfiledStep } from '../engine/addon.ts';
import { phaseOf, type Phase } from './summary.ts';

/** An event of the Trace Event Format, as Perfetto and chrome://tracing read it. Times are in microseconds. */
type TraceEvent = Metadata | Complete | Counter;

interface Metadata {
  readonly ph: 'M';
  readonly name: 'process_name' | 'thread_name' | 'thread_sort_index';
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name: string } | { readonly sort_index: number };
}

interface Complete {
  readonly ph: 'X';
  readonly name: string;
  readonly cat: 'step' | 'layer' | 'operation';
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>>;
}

interface Counter {
  readonly ph: 'C';
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly args: Readonly<Record<string, number>>;
}

export interface Trace {
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, string>>;
  readonly traceEvents: readonly TraceEvent[];
}

const pid = 1;
const threads: Readonly<Record<Phase, number>> = { prefill: 1, decode: 2 };

/** A span in whole nanoseconds, so that what lies within another does so to the last digit. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * One process, the model; a thread for each phase, on which steps hold their layers and these their operations; and
 * counters of what the cache holds, by tier and as FP16. Time starts with the first step.
 */
export function traceOf(
  { operations, events, steps }: Profile,
  promptTokens: number,
  model: string,
  about: Readonly<Record<string, string>>,
): Trace {
  const [first] = steps;
  const origin = first?.start ?? 0;
  const spanOf = ({ start, duration }: Pick<OperationEvent, 'start' | 'duration'>): Span => ({
    start: Math.round((start - origin) * 1000),
    end: Math.round((start - origin + duration) * 1000),
  });
  const byStep = steps.map((): Timed[] => []);
  for (const event of events) {
    const operation = operations[event.operation];
    if (operation !== undefined)
      byStep[event.step]?.push({ event, operation, span: spanOf(event) });
  }
  const tiers = [...new Set(steps.flatMap((step) => step.tiers.map(({ name }) => name)))];
  return {
    displayTimeUnit: 'ms',
    otherData: about,
    traceEvents: [
      { ph: 'M', name: 'process_name', pid, tid: 0, args: { name: model } },
      ...Object.entries(threads).flatMap(([name, tid]): TraceEvent[] => [
        { ph: 'M', name: 'thread_name', pid, tid, args: { name } },
        { ph: 'M', name: 'thread_sort_index', pid, tid, args: { sort_index: tid } },
      ]),
      ...steps.flatMap((step, index): TraceEvent[] => {
        const phase = phaseOf(step, promptTokens);
        const tid = threads[phase];
        const span = spanOf(step);
        const timed = byStep[index] ?? [];
        const where = { first: step.first, tokens: step.tokens };
        return [
          complete('step', stepName(phase, step), tid, span, where),
          ...layersOf(timed).map((layer) =>
            complete('layer', `layer ${layer.layer}`, tid, layer.span, { layer: layer.layer }),
          ),
          ...timed.map((one) => operationEvent(one, tid)),
          ...counters(step, tiers, span.end),
        ];
      }),
    ],
  };
}

interface Timed {
  readonly event: OperationEvent;
  readonly operation: Operation;
  readonly span: Span;
}

const complete = (
  cat: Complete['cat'],
  name: string,
  tid: number,
  { start, end }: Span,
  args: Complete['args'],
): TraceEvent => ({
  ph: 'X',
  name,
  cat,
  pid,
  tid,
  ts: start / 1000,
  dur: (end - start) / 1000,
  args,
});

const stepName = (phase: Phase, { first, tokens }: ProfiledStep): string =>
  tokens === 1 ? `${phase} token ${first}` : `${phase} tokens ${first} to ${first + tokens - 1}`;

function operationEvent({ event, operation, span }: Timed, tid: number): TraceEvent {
  const { name, role, layer, shape, device, kernel, tiers } = operation;
  const { flops, bytes, cacheBytes } = event;
  const args = { shape, device, kernel, tiers, layer, flops, bytes, cacheBytes };
  return complete('operation', role === '' ? name : `${name} ${role}`, tid, span, args);
}

/** From the first to the last operation of a layer; those between that belong to none count with it. */
function layersOf(timed: readonly Timed[]): { readonly layer: number; readonly span: Span }[] {
  const layers: { layer: number; span: Span }[] = [];
  for (const { operation, span } of timed) {
    if (operation.layer === undefined) continue;
    const last = layers.at(-1);
    if (last?.layer === operation.layer) last.span = { start: last.span.start, end: span.end };
    else layers.push({ layer: operation.layer, span });
  }
  return layers;
}

/** Every series has a value at every time: a counter keeps the value that it does not get. */
function counters(step: ProfiledStep, tiers: readonly string[], end: number): TraceEvent[] {
  const held = new Map(step.tiers.map(({ name, bytes }) => [name, bytes]));
  const ts = end / 1000;
  const byTier = Object.fromEntries(tiers.map((name) => [name, held.get(name) ?? 0]));
  return [
    { ph: 'C', name: 'KV cache by tier (bytes)', pid, tid: 0, ts, args: byTier },
    { ph: 'C', name: 'KV cache as FP16 (bytes)', pid, tid: 0, ts, args: { fp16: step.fp16Bytes } },
  ];
}
