/**
 * A completion as it is offered: without blank lines at its end, without repeating what the line holds
 * after the cursor, with the document's line ends. Empty when nothing worth offering is left.
 */
export function trimCompletion(
  text: string,
  restOfLine: string,
  lineEnd: '\n' | '\r\n' = '\n',
): string {
  const trimmed = dropRepeatedTail(dropBlankEnd(text), restOfLine);
  return /\S/.test(trimmed) ? trimmed.replace(/\r?\n/g, lineEnd) : '';
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
