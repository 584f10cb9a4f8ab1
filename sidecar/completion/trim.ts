/** What a completion is offered beside. */
export interface Surroundings {
  /** What the line holds after the cursor. */
  readonly restOfLine: string;
  readonly lineEnd: '\n' | '\r\n';
}

/**
 * A model's answer as it is offered: without blank lines at its end, without repeating what the line
 * holds after the cursor, with the document's line ends. An answer that ran into its bound (`cutOff`)
 * also loses its unfinished line and the loop it may have ended in. Empty when nothing is left.
 */
export function trimCompletion(
  answer: string,
  cutOff: boolean,
  { restOfLine, lineEnd }: Surroundings,
): string {
  const whole = cutOff ? dropLoop(dropUnfinishedLine(answer)) : answer;
  const trimmed = dropRepeatedTail(dropBlankEnd(whole), restOfLine);
  return /\S/.test(trimmed) ? trimmed.replace(/\r?\n/g, lineEnd) : '';
}

/** Drops the last line, unless it is the only one with text. */
export function dropUnfinishedLine(text: string): string {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return /\S/.test(whole) ? whole : text;
}

/** Where `text` ends in three or more rounds of the same words, keeps the first round. */
export function dropLoop(text: string): string {
  for (let period = 1; period * 3 <= text.length; period++) {
    let start = text.length;
    while (start > period && text[start - 1] === text[start - 1 - period]) start--;
    const looping = text.length - start >= 2 * period && /\w/.test(text.slice(-period));
    if (!looping) continue;
    // Rounds of whole lines: the first one to the end of its last line.
    const lineEnd = text.slice(-period).includes('\n') ? text.indexOf('\n', start) : -1;
    return text.slice(0, lineEnd < 0 ? start : lineEnd);
  }
  return text;
}

/** Drops the lines of white space that a text ends in. */
export const dropBlankEnd = (text: string): string => text.replace(/(?:\r?\n[^\S\r\n]*)+$/, '');

/** Drops the end of `text` that `restOfLine` starts with, unless that end closes what `text` opened. */
export function dropRepeatedTail(text: string, restOfLine: string): string {
  for (let length = Math.min(text.length, restOfLine.length); length > 0; length--) {
    const head = text.slice(0, text.length - length);
    if (text.endsWith(restOfLine.slice(0, length)) && unclosed(head) <= unclosed(text)) return head;
  }
  return text;
}

/** How many brackets and quotes `text` opens without closing them; strings are not looked into. */
function unclosed(text: string): number {
  const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
  const open: string[] = [];
  for (const character of text) {
    const closer = closers[character];
    if (character === open.at(-1)) open.pop();
    else if (closer !== undefined) open.push(closer);
    else if ('"\'`'.includes(character)) open.push(character);
  }
  return open.length;
}
