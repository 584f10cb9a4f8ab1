import assert from 'node:assert/strict';
import { z } from 'zod';
import type { Trace } from '../../../sidecar/profile/trace.ts';

const time = z.number().min(0);
const place = { pid: z.int().positive(), tid: z.int().min(0), name: z.string().min(1) };
/** The parts of the Trace Event Format that are used, strictly. */
const schema = z.strictObject({
  displayTimeUnit: z.literal('ms'),
  otherData: z.record(z.string(), z.string()),
  traceEvents: z.array(
    z.discriminatedUnion('ph', [
      z.strictObject({
        ...place,
        ph: z.literal('M'),
        name: z.enum(['process_name', 'thread_name', 'thread_sort_index']),
        args: z.union([
          z.strictObject({ name: z.string() }),
          z.strictObject({ sort_index: z.int() }),
        ]),
      }),
      z.strictObject({
        ...place,
        ...{ ph: z.literal('X'), ts: time, dur: time },
        ...{ cat: z.enum(['step', 'layer', 'operation']), args: z.record(z.string(), z.unknown()) },
      }),
      z.strictObject({
        ...place,
        ...{ ph: z.literal('C'), ts: time, args: z.record(z.string(), z.number().min(0)) },
      }),
    ]),
  ),
});

/** The trace that a text holds; throws where it is none. */
export const parseTrace = (text: string): Trace => schema.parse(JSON.parse(text));

type EventOf<Phase extends 'X' | 'C'> = Extract<Trace['traceEvents'][number], { ph: Phase }>;

export const spansOf = ({ traceEvents }: Trace): EventOf<'X'>[] =>
  traceEvents.filter((event) => event.ph === 'X');

export const countersOf = ({ traceEvents }: Trace): EventOf<'C'>[] =>
  traceEvents.filter((event) => event.ph === 'C');

/** What a viewer makes of the spans of a thread: every one lies in the one that is open, or behind it. */
export function assertNested(trace: Trace): void {
  const spans = spansOf(trace);
  for (const tid of new Set(spans.map((span) => span.tid))) {
    const open: { readonly end: number; readonly cat: string }[] = [];
    const depth = { step: 0, layer: 1, operation: 2 };
    const ordered = spans
      .filter((span) => span.tid === tid)
      .map(({ ts, dur, cat }) => ({ start: Math.round(ts * 1000), dur, cat }))
      .map(({ start, dur, cat }) => ({ start, end: start + Math.round(dur * 1000), cat }))
      .sort((a, b) => a.start - b.start || b.end - a.end || depth[a.cat] - depth[b.cat]);
    for (const span of ordered) {
      while (open.length > 0 && (open.at(-1)?.end ?? 0) <= span.start) open.pop();
      const parent = open.at(-1);
      assert.ok(parent === undefined || span.end <= parent.end, JSON.stringify({ span, parent }));
      assert.equal(parent === undefined, span.cat === 'step', JSON.stringify(span));
      open.push(span);
    }
  }
}
