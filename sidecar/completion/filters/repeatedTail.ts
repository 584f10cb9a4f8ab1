import { unclosed } from './brackets.ts';

/** Drops the end of `text` that `restOfLine` starts with, unless that end closes what `text` opened. */
export function dropRepeatedTail(text: string, restOfLine: string): string {
  for (let length = Math.min(text.length, restOfLine.length); length > 0; length--) {
    const head = text.slice(0, text.length - length);
    if (text.endsWith(restOfLine.slice(0, length)) && unclosed(head) <= unclosed(text)) return head;
  }
  return text;
}
