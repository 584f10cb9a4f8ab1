import { dropBlankEnd } from './filters/blankEnd.ts';
import { dropLinesBelow } from './filters/linesBelow.ts';
import { dropLoop } from './filters/loop.ts';
import { keepOneLine } from './filters/oneLine.ts';
import { dropRepeatedTail } from './filters/repeatedTail.ts';
import { stayInScope } from './filters/scope.ts';
import { dropUnfinishedLine } from './filters/unfinishedLine.ts';
import type { CursorSyntax } from '../syntax/cursor.ts';
import { reachInLine } from '../syntax/reach.ts';

/** What a completion is offered between; lines end in `\n`. */
export interface Surroundings {
  readonly before: string;
  readonly after: string;
  /** How the document ends its lines. */
  readonly lineEnd: '\n' | '\r\n';
  /** Where the document's language has a grammar. */
  readonly syntax?: CursorSyntax | undefined;
}

/**
 * A model's answer as it is offered; empty when nothing is left. An answer that ran into its bound (`cutOff`) first loses its
 * unfinished line and the loop it may have ended in.
 */
export function filterCompletion(
  answer: string,
  cutOff: boolean,
  { before, after, lineEnd, syntax }: Surroundings,
): string {
  const restOfLine = /^[^\n]*/.exec(after)?.[0] ?? '';
  let text = answer.replaceAll('\r\n', '\n');
  if (cutOff) text = dropLoop(dropUnfinishedLine(text));
  if ((syntax?.reach ?? reachInLine(after)) === 'line') {
    text = keepOneLine(text, restOfLine);
  } else {
    const end = syntax?.endOf(text);
    text = end === undefined ? stayInScope(text, before, after) : text.slice(0, end);
  }
  text = dropLinesBelow(text, after);
  text = dropRepeatedTail(dropBlankEnd(text), restOfLine);
  return /\S/.test(text) ? text.replaceAll('\n', lineEnd) : '';
}
