import { changedRange, type TextRange } from '../context/settle.ts';
import type { NextEditReason } from '../protocol.ts';

/** A range of a text that gives way to another text. */
export interface Replacement extends TextRange {
  readonly text: string;
}

/** What to change next in a document, and why. */
export interface FoundEdit {
  readonly edit: Replacement;
  readonly why: NextEditReason;
}

/** What the user is at in a document: one stretch of it that has been edited, and what it was before. */
export interface Editing {
  readonly before: string;
  readonly now: string;
  /** Of `now`, all that differs from `before`. */
  readonly range: TextRange;
  /** Of `now`, where it was edited last. */
  readonly latest: TextRange;
  /** Where next edits were accepted since, in their order. */
  readonly visited: readonly number[];
}

const nowhere: TextRange = { start: 0, end: 0 };

/** A document that nobody has edited yet. */
export const untouched = (text: string): Editing => ({
  before: text,
  now: text,
  range: nowhere,
  latest: nowhere,
  visited: [],
});

export const replaced = (text: string, { start, end, text: by }: Replacement): string =>
  text.slice(0, start) + by + text.slice(end);

/**
 * After the document was edited. An edit that touches the word that was edited last goes on with it; any other one, and one
 * behind next edits that were accepted, is a new beginning.
 */
export function edited(editing: Editing, now: string): Editing {
  const latest = changedRange(editing.now, now);
  if (latest === undefined) return editing;
  const grown = now.length - editing.now.length;
  const end = latest.end - grown;
  const word = wordAround(editing.now, editing.latest);
  const isNew = editing.before === editing.now || editing.visited.length > 0;
  if (isNew || latest.start > word.end || end < word.start)
    return { before: editing.now, now, range: latest, latest, visited: [] };
  const { before, range } = editing;
  return {
    before,
    now,
    range: {
      start: Math.min(range.start, latest.start),
      end: Math.max(range.end, end) + grown,
    },
    latest,
    visited: [],
  };
}

/** After a next edit was accepted: as if the document had always been so. */
export function accepted(editing: Editing, edit: Replacement): Editing {
  const { before, now, range, visited } = editing;
  const delta = edit.text.length - (edit.end - edit.start);
  const moved = (offset: number): number => (offset < edit.end ? offset : offset + delta);
  const isBehind = edit.start >= range.end;
  const back = isBehind ? before.length - now.length : 0;
  const there = { ...edit, start: edit.start + back, end: edit.end + back };
  const shifted = isBehind ? range : { start: moved(range.start), end: moved(range.end) };
  return {
    before: replaced(before, there),
    now: replaced(now, edit),
    range: shifted,
    latest: shifted,
    visited: [...visited.map(moved), edit.start],
  };
}

/** The longest word that is looked at. */
const reach = 256;

function wordAround(text: string, { start, end }: TextRange): TextRange {
  const before = /[\p{L}\p{N}_$]*$/u.exec(text.slice(Math.max(0, start - reach), start));
  const after = /^[\p{L}\p{N}_$]*/u.exec(text.slice(end, end + reach));
  return { start: start - (before?.[0].length ?? 0), end: end + (after?.[0].length ?? 0) };
}
