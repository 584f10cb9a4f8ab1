import type { Around } from './around.ts';
import { blockIndentation, indentationOf, isBlank, linesBelow } from './lines.ts';
import { closedOnLine, openedOnLine } from './reach.ts';
import { bracketOf, errorsOf, isOpenQuote, tokensFrom, type Token } from './tree.ts';

/** A line of an answer, as it stands in the code. */
interface Line {
  readonly text: string;
  /** Where it starts in the answer. */
  readonly start: number;
  /** Where it starts: in brackets or a string of the answer's, in a comment. */
  readonly within: 'code' | 'unit' | 'comment';
  /** It closes a bracket that was opened above the cursor's line. */
  readonly leaves: boolean;
}

/** The first line that is not of what the answer begins, or closes what is around it. */
interface Boundary {
  readonly index: number;
  readonly leaves: boolean;
}

/**
 * Where an answer of several lines ends: behind the block or statement that it begins, once another one follows; before the
 * line that leaves the block around the cursor, or behind it where the code below lacks it; behind its last whole statement
 * where it breaks off in one; before closing lines that the code below has. Never where that makes more errors. Undefined
 * when it takes too long to find out.
 */
export function endOf(around: Around, answer: string): number | undefined {
  const lines = linesOf(around, answer);
  if (lines === undefined) return undefined;
  let best: { readonly end: number; readonly errors: number } | undefined;
  for (const end of new Set([...endsOf(around, lines, answer.length), answer.length])) {
    const errors = errorsWith(around, answer.slice(0, end));
    if (errors === undefined) return undefined;
    if (best === undefined || errors < best.errors) best = { end, errors };
  }
  return best?.end;
}

/** Where an answer may end, the likeliest first. */
function endsOf(around: Around, lines: readonly Line[], length: number): number[] {
  const { boundary, lastUnit } = boundaryOf(around, lines);
  const startOf = (index: number): number => lines[index]?.start ?? length;
  const end = Math.max(1, boundary?.index ?? lines.length);
  const ends = [startOf(end)];
  if (boundary?.leaves === true) ends.push(startOf(boundary.index + 1));
  if (boundary === undefined && lastUnit > 0) ends.push(startOf(lastUnit));
  const { closes } = around.language;
  const [below = ''] = linesBelow(around.after);
  if (!closes.test(below)) return ends;
  for (const { text, start } of lines.slice(1, end).reverse()) {
    if (!isBlank(text) && !closes.test(text)) break;
    ends.push(start);
  }
  return ends;
}

/** Of an answer that is being written: its lines, and the last one's first word once that is whole. */
export const wholeWords = (answer: string): string =>
  /^[^]*\n(?:[^\S\n]*(?=\S)(?:\w+\W|\W\S))?/.exec(answer)?.[0] ?? '';

/** Whether what was written goes on behind where the answer ends; `written` ends in a whole word. */
export function isEnded(around: Around, written: string): boolean {
  const lines = linesOf(around, written);
  if (lines === undefined) return false;
  const { boundary } = boundaryOf(around, lines);
  // The rest of the last line may say whether it is one that closes.
  if (boundary === undefined || (boundary.leaves && boundary.index === lines.length - 1))
    return false;
  const end = endOf(around, written);
  return end !== undefined && !isBlank(written.slice(end));
}

function boundaryOf(
  { before, language }: Around,
  lines: readonly Line[],
): { readonly boundary?: Boundary; readonly lastUnit: number } {
  const begun = before.slice(before.lastIndexOf('\n') + 1);
  const texts = lines.map(({ text }) => text);
  const base = blockIndentation(begun, texts);
  const isUnderWay = !isBlank(begun) && !isBlank(texts[0] ?? '');
  let isBlock = false;
  let lastUnit = 0;
  for (const [index, { text, within, leaves }] of lines.entries()) {
    if (leaves) return { boundary: { index, leaves }, lastUnit };
    if (index === 0 || isBlank(text) || within === 'comment') continue;
    const indentation = indentationOf(text);
    if (within === 'unit' || indentation > base) {
      isBlock = true;
      continue;
    }
    // Directives of a preprocessor stand at the left whatever they are in.
    if (indentation < base && text.startsWith('#')) continue;
    if (indentation < base) return { boundary: { index, leaves: true }, lastUnit };
    if (language.continues.test(text.trimStart())) continue;
    const isDeclaration =
      base === 0 && isBlank(texts[index - 1] ?? '') && !isBlank(texts.slice(0, index).join(''));
    if (isUnderWay || isBlock || isDeclaration)
      return { boundary: { index, leaves: false }, lastUnit };
    lastUnit = index;
  }
  return { lastUnit };
}

const linesOf = ({ parser, before, after }: Around, answer: string): Line[] | undefined =>
  parser.read(before + answer, (tree) => {
    let depth = Math.max(0, openedOnLine(tree, before) - closedOnLine(after));
    const tokens: (Token & { readonly depth: number })[] = [];
    for (const token of tokensFrom(tree, before.length)) {
      tokens.push({ ...token, depth });
      if (token.start >= before.length) depth += isOpenQuote(token) ? Infinity : bracketOf(token);
      if (depth < 0) break;
    }
    const left = depth < 0 ? tokens.at(-1)?.start : undefined;
    let next = before.length;
    return answer.split('\n').map((text) => {
      const start = next;
      next += text.length + 1;
      const first = start + indentationOf(text);
      const token = tokens.find(({ end }) => end > first);
      const isCut = token !== undefined && token.start < first;
      const isComment = isCut && token.type.includes('comment');
      const isUnit = isCut || (token?.depth ?? depth) > 0;
      return {
        text,
        start: start - before.length,
        within: isComment ? 'comment' : isUnit ? 'unit' : 'code',
        leaves: left !== undefined && left >= start && left < next,
      };
    });
  });

const errorsWith = ({ parser, before, after }: Around, answer: string): number | undefined =>
  parser.read(before + answer.trimEnd() + after, errorsOf);
