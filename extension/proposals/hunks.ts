import { diffArrays } from 'diff';

/** Lines that give way to others: `removed`, from line `start` on, to `added`. One of them has lines. */
export interface Hunk {
  readonly start: number;
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

/** Above this many changed lines the difference is looked for no further: all of it is one hunk. */
const mostChanges = 1500;

/** A text's lines without their ends; one that ends in a line end has an empty last line. */
export const linesOf = (text: string): string[] => text.split(/\r\n|\r|\n/);

/** What makes `after` of `before`, in their order; between two hunks is at least one line that stays. */
export function hunksBetween(before: readonly string[], after: readonly string[]): Hunk[] {
  const parts = diffArrays([...before], [...after], { maxEditLength: mostChanges });
  if (parts === undefined) return [wholeHunk(before, after)];
  const hunks: Hunk[] = [];
  let line = 0;
  let open: { start: number; removed: string[]; added: string[] } | undefined;
  for (const { value, added, removed } of parts) {
    if (!added && !removed) {
      open = undefined;
    } else {
      if (open === undefined) hunks.push((open = { start: line, removed: [], added: [] }));
      (added ? open.added : open.removed).push(...value);
    }
    if (!added) line += value.length;
  }
  return hunks;
}

/** The same hunks, but one in place of two that only blank lines and brackets are between: these belong to both. */
export function joinedHunks(before: readonly string[], hunks: readonly Hunk[]): Hunk[] {
  const joined: Hunk[] = [];
  for (const hunk of hunks) {
    const last = joined.at(-1);
    const end = last === undefined ? 0 : last.start + last.removed.length;
    const between = before.slice(end, hunk.start);
    if (last === undefined || between.some((line) => /[\p{L}\p{N}]/u.test(line))) {
      joined.push(hunk);
      continue;
    }
    joined[joined.length - 1] = {
      start: last.start,
      removed: [...last.removed, ...between, ...hunk.removed],
      added: [...last.added, ...between, ...hunk.added],
    };
  }
  return joined;
}

/** The difference without its middle looked at. */
function wholeHunk(before: readonly string[], after: readonly string[]): Hunk {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  return {
    start: head,
    removed: before.slice(head, before.length - tail),
    added: after.slice(head, after.length - tail),
  };
}

/** `lines` with the hunks made, which are in order and do not overlap. */
export function applyHunks(lines: readonly string[], hunks: readonly Hunk[]): string[] {
  const made: string[] = [];
  let line = 0;
  for (const { start, removed, added } of hunks) {
    made.push(...lines.slice(line, start), ...added);
    line = start + removed.length;
  }
  return [...made, ...lines.slice(line)];
}

/**
 * The line of `current` that each hunk of `base` now begins at; undefined where its lines have been changed. What a hunk
 * removes is at its line as it was.
 */
export function placesIn(
  current: readonly string[],
  base: readonly string[],
  hunks: readonly Hunk[],
): (number | undefined)[] {
  const changes = hunksBetween(base, current);
  return hunks.map(({ start, removed }) => {
    const end = start + removed.length;
    let shift = 0;
    for (const change of changes) {
      const changeEnd = change.start + change.removed.length;
      if (changeEnd <= start) shift += change.added.length - change.removed.length;
      else if (change.start >= end) break;
      else return undefined;
    }
    return start + shift;
  });
}

/** An edit in an editor's terms; lines of `text` end as the document's do. */
export interface LineEdit {
  readonly start: { readonly line: number; readonly character: number };
  readonly end: { readonly line: number; readonly character: number };
  readonly text: string;
}

/** The edit of a document with these lines that makes the hunk, and leaves every other line end alone. */
export function editOf(hunk: Hunk, lines: readonly string[], lineEnd: string): LineEdit {
  const { start, removed, added } = hunk;
  const end = start + removed.length;
  if (end < lines.length) {
    return {
      start: { line: start, character: 0 },
      end: { line: end, character: 0 },
      text: added.map((line) => line + lineEnd).join(''),
    };
  }
  // The last line has no end: the one before its own goes, or comes, with it.
  const last = { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 };
  if (start === 0)
    return { start: { line: 0, character: 0 }, end: last, text: added.join(lineEnd) };
  return {
    start: { line: start - 1, character: lines[start - 1]?.length ?? 0 },
    end: last,
    text: added.map((line) => lineEnd + line).join(''),
  };
}
