/**
 * Typing sessions as somebody recorded them, key by key, in the format of the traces that text editors and CRDTs are measured
 * with (https://github.com/josephg/editing-traces, sequential_traces): transactions of patches of a text, whose positions count
 * code points.
 */
import fs from 'node:fs';
import zlib from 'node:zlib';
import { z } from 'zod';
import { edited, type Edit } from './releases.ts';

const count = z.int().nonnegative();
const format = z.object({
  startContent: z.string(),
  endContent: z.string(),
  txns: z.array(z.object({ patches: z.array(z.tuple([count, count, z.string()])) })),
});

export interface Recording {
  readonly before: string;
  /** What was done at a time, in order; each edit is of the text as those before it have left it. */
  readonly steps: readonly (readonly Edit[])[];
  readonly after: string;
}

/** Of a file, also a compressed one. Throws where it is none, or does not lead to the text that it says. */
export function readRecording(file: string): Recording {
  const bytes = fs.readFileSync(file);
  const text = (file.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes).toString();
  const { startContent, endContent, txns } = format.parse(JSON.parse(text));
  let now = startContent;
  const steps = txns.map(({ patches }) =>
    patches.map(([position, removed, inserted]): Edit => {
      const offset = unitsOf(now, position);
      const end = offset + unitsOf(now.slice(offset), removed);
      const edit = { offset, removed: now.slice(offset, end), inserted };
      now = edited(now, edit);
      return edit;
    }),
  );
  if (now !== endContent) throw new Error(`What ${file} records does not lead to its last text.`);
  return { before: startContent, steps, after: endContent };
}

/** UTF-16 units of the first code points of a text. Throws where it has fewer. */
function unitsOf(text: string, points: number): number {
  let units = 0;
  for (let left = points; left > 0; left--) {
    const point = text.codePointAt(units);
    if (point === undefined) throw new Error('A patch is behind the end of the text.');
    units += point > 0xffff ? 2 : 1;
  }
  return units;
}

/** A character was typed, and nothing else happened. */
export const isKey = (step: readonly Edit[]): boolean =>
  step.length === 1 && step[0]?.removed === '' && step[0].inserted.length === 1;

/** The end of a recording, from so many keys before it on. */
export function lastKeys({ before, steps, after }: Recording, keys: number): Recording {
  let first = steps.length;
  for (let left = keys; first > 0 && left > 0;) {
    first--;
    if (isKey(steps[first] ?? [])) left--;
  }
  const start = steps.slice(0, first).flat().reduce(edited, before);
  return { before: start, steps: steps.slice(first), after };
}
