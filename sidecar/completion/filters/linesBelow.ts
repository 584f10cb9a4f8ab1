import { unclosed } from './brackets.ts';
import { isBlank, linesBelow } from '../../syntax/lines.ts';

/** Lines that say something: more than brackets and punctuation, or the end of a block. */
const tells = (line: string): boolean => /\w{3}|\w\W+\w/.test(line) && !/^\s*end\W*$/.test(line);

/** Lines that have to be the same, as far as there are so many. */
const compared = 3;

/**
 * Ends a text of several lines where it goes on with what the document already has below the cursor: with the same lines, or
 * with a bracket there that closes nothing of the text's.
 */
export function dropLinesBelow(text: string, after: string): string {
  const lines = text.split('\n');
  const below = linesBelow(after);
  const [next] = below;
  if (next === undefined) return text;
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? '';
    if (line.trim() !== next.trim()) continue;
    const rest = lines.slice(i).filter((one) => !isBlank(one));
    const same = rest
      .slice(0, compared)
      .every((one, index) => index >= below.length || one.trim() === below[index]?.trim());
    const head = lines.slice(0, i).join('\n');
    const repeats = tells(line) ? same : line.trimEnd() === next.trimEnd() && unclosed(head) === 0;
    if (repeats) return head;
  }
  return text;
}
