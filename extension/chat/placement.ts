/** Where code of an answer belongs in a document. Offsets count UTF-16 units. */

export interface Place {
  readonly start: number;
  readonly end: number;
  /** The code as it goes there. */
  readonly text: string;
}

/**
 * Where `code` goes in `text`: in place of the selection, where there is one; of the lines that it is another version of, from
 * one like its first to one like its last; of all of the text, where it holds most of its lines; else at the cursor, on lines of its own.
 */
export function placeCode(
  text: string,
  code: string,
  selection: { readonly start: number; readonly end: number },
): Place {
  const body = code.replace(/\s+$/u, '');
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const written = body.split('\n');
  const as = (indent: string): string => reindent(written, indent).join(end);
  if (selection.end > selection.start) {
    const selected = text.slice(selection.start, selection.end);
    const tail = /\s*$/u.exec(selected)?.[0] ?? '';
    // The indentation before the selection stays there.
    const before = /(?<=^|\n)[ \t]*$/u.exec(text.slice(0, selection.start))?.[0];
    const fit =
      before === undefined ? as('') : as(before + indentOf(firstFull(selected.split('\n'))));
    const first = before !== undefined && fit.startsWith(before) ? fit.slice(before.length) : fit;
    return { ...selection, text: first + tail };
  }
  const lines = text.split('\n');
  const starts = startsOf(lines);
  const at = (line: number): number => starts[line] ?? text.length;
  const same = versionIn(lines, written);
  if (same !== undefined) {
    const last = lines[same.last] ?? '';
    return {
      start: at(same.first),
      end: at(same.last) + last.replace(/\r$/u, '').length,
      text: as(indentOf(lines[same.first] ?? '')),
    };
  }
  if (holdsMost(lines, written)) {
    const tail = /\s*$/u.exec(text)?.[0] ?? '';
    return { start: 0, end: text.length - tail.length, text: written.join(end) };
  }
  const line = Math.max(
    0,
    starts.findLastIndex((start) => start <= selection.start),
  );
  const here = lines[line] ?? '';
  if (here.trim() === '') {
    return {
      start: at(line),
      end: at(line) + here.replace(/\r$/u, '').length,
      text: as(indentOf(here)),
    };
  }
  const behind = at(line) + here.replace(/\r$/u, '').length;
  return { start: behind, end: behind, text: end + as(indentOf(here)) };
}

const indentOf = (line: string): string => /^[ \t]*/u.exec(line)?.[0] ?? '';

const firstFull = (lines: readonly string[]): string =>
  lines.find((line) => line.trim() !== '') ?? '';

/** The lines with the indentation that the first one is to have. */
function reindent(lines: readonly string[], indent: string): string[] {
  const full = lines.filter((line) => line.trim() !== '');
  const least = Math.min(...full.map((line) => indentOf(line).length));
  if (indentOf(firstFull(lines)).length !== least) return [...lines];
  return lines.map((line) => (line.trim() === '' ? '' : indent + line.slice(least)));
}

function startsOf(lines: readonly string[]): number[] {
  let start = 0;
  return lines.map((line) => {
    const here = start;
    start += line.length + 1;
    return here;
  });
}

/** Lines from the one line that is like the first of the code, to the first at its indentation that is like the last. */
function versionIn(
  lines: readonly string[],
  code: readonly string[],
): { first: number; last: number } | undefined {
  const head = firstFull(code);
  const tail = code.findLast((line) => line.trim() !== '') ?? '';
  if (code.length < 2 || head.trim().length < 4) return undefined;
  const like = (a: string, b: string): boolean => a.trim() === b.trim();
  const firsts = lines.flatMap((line, index) => (like(line, head) ? [index] : []));
  const [first] = firsts;
  if (first === undefined || firsts.length > 1) return undefined;
  const deeper = indentOf(tail).length - indentOf(head).length;
  const indent = indentOf(lines[first] ?? '').length + deeper;
  const last = lines.findIndex(
    (line, index) => index > first && like(line, tail) && indentOf(line).length === indent,
  );
  return last === -1 ? undefined : { first, last };
}

/** Whether most of the lines of a document are in the code as well. */
function holdsMost(lines: readonly string[], code: readonly string[]): boolean {
  const written = new Set(code.map((line) => line.trim()));
  const full = lines.map((line) => line.trim()).filter((line) => line.length > 2);
  const kept = full.filter((line) => written.has(line)).length;
  return full.length > 0 && kept > full.length / 2;
}
