import { dropBlankEnd } from './filters/blankEnd.ts';
import { dropLinesBelow } from './filters/linesBelow.ts';
import { dropLoop } from './filters/loop.ts';
import { keepOneLine } from './filters/oneLine.ts';
import { dropRepeatedTail } from './filters/repeatedTail.ts';
import { stayInScope } from './filters/scope.ts';
import { dropUnfinishedLine } from './filters/unfinishedLine.ts';

/** What a completion is offered between; lines end in `\n`. */
export interface Surroundings {
  readonly before: string;
  readonly after: string;
  /** How the document ends its lines. */
  readonly lineEnd: '\n' | '\r\n';
}

/**
 * A model's answer as it is offered; empty when nothing is left. An answer that ran into its bound (`cutOff`) first loses its
 * unfinished line and the loop it may have ended in.
 */
export function filterCompletion(
  answer: string,
  cutOff: boolean,
  { before, after, lineEnd }: Surroundings,
): string {
  const restOfLine = /^[^\n]*/.exec(after)?.[0] ?? '';
  let text = answer.replaceAll('\r\n', '\n');
  if (cutOff) text = dropLoop(dropUnfinishedLine(text));
  text = keepOneLine(text, restOfLine);
  text = stayInScope(text, before, after);
  text = dropLinesBelow(text, after);
  text = dropRepeatedTail(dropBlankEnd(text), restOfLine);
  return /\S/.test(text) ? text.replaceAll('\n', lineEnd) : '';
}
