import type { Around } from './around.ts';
import { bracketOf, isInText, tokensFrom } from './tree.ts';
import type { Tree } from 'web-tree-sitter';

/** How much may be written at a cursor. */
export type Reach = 'line' | 'lines';

/** What may follow a cursor at which several lines can be written: what closes, ends or separates. */
const closing = /^[\s)\]}>'"`;:,]*$/;

/** In the middle of a line nothing but the rest of that line can be meant. */
export const reachInLine = (after: string): Reach =>
  closing.test(/^[^\n]*/.exec(after)?.[0] ?? '') ? 'lines' : 'line';

/** Whether a line has been written, and more cannot be meant where the reach is a line. */
export const isLineWritten = (answer: string): boolean => /\S[^\n]*\n/.test(answer);

/**
 * | the cursor is                                                    | reach |
 * | ---------------------------------------------------------------- | ----- |
 * | before more of its line than what closes, ends or separates      | line  |
 * | in a comment or a string                                         | line  |
 * | in brackets that its line opens: arguments, a condition          | line  |
 * | on an empty line: in a block, under a comment, at top level      | lines |
 * | behind what opens a block, a list or a table                     | lines |
 * | behind a statement                                               | lines |
 * | in a statement, at the end of its line: as far as that one goes  | lines |
 *
 * Undefined where it takes too long to find out.
 */
export function reachOf({ parser, language, before, after }: Around): Reach | undefined {
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.slice(lineStart).trimEnd();
  const isOpened = language.opensBlock.test(line) || (isAtLineEnd(after) && /[[{]$/.test(line));
  return parser.read(before + after, (tree) => {
    if (reachInLine(after) === 'line' || isInText(tree, before.length, lineStart)) return 'line';
    return !isOpened && openedOnLine(tree, before) > 0 ? 'line' : 'lines';
  });
}

const isAtLineEnd = (after: string): boolean => /^\s*?(?:\n|$)/.test(after);

/** How many brackets the cursor's line opens before it, but for those that are closed there. */
export function openedOnLine(tree: Tree, before: string): number {
  let open = 0;
  for (const token of tokensFrom(tree, before.lastIndexOf('\n') + 1)) {
    if (token.start >= before.length) break;
    open = Math.max(0, open + bracketOf(token));
  }
  return open;
}

/** How many brackets the rest of the cursor's line closes, which is nothing but closing. */
export const closedOnLine = (after: string): number =>
  /^[^\n]*/.exec(after)?.[0].match(/[)\]}]/g)?.length ?? 0;
