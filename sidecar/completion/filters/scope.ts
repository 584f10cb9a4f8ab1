import { blockIndentation, indentationOf, isBlank, linesBelow } from '../../syntax/lines.ts';

const closes = (line: string): boolean => /^\s*[)\]}]/.test(line);

/**
 * Ends a text of several lines where it leaves the block that it starts in: before the first line with less indentation, or
 * behind that line where it closes the block and the document does not. At top level: before the next declaration.
 */
export function stayInScope(text: string, before: string, after: string): string {
  const lines = text.split('\n');
  const base = blockIndentation(before.slice(before.lastIndexOf('\n') + 1), lines);
  const [below] = linesBelow(after);
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? '';
    if (isBlank(line)) continue;
    const indentation = indentationOf(line);
    const isNext = base === 0 && indentation === 0 && i > 1 && isBlank(lines[i - 1] ?? '');
    if (isNext && !closes(line)) return lines.slice(0, i - 1).join('\n');
    if (indentation >= base) continue;
    const isMissing = closes(line) && below?.trimEnd() !== line.trimEnd();
    return lines.slice(0, isMissing ? i + 1 : i).join('\n');
  }
  return text;
}
