export const isBlank = (line: string): boolean => !/\S/.test(line);

export const indentationOf = (line: string): number => /^\s*/.exec(line)?.[0].length ?? 0;

/** The lines below the cursor that hold something; `after` is what follows the cursor. */
export const linesBelow = (after: string): string[] =>
  after
    .split('\n')
    .slice(1)
    .filter((line) => !isBlank(line));

/** The indentation of the block that an answer starts in: its first line's, which `begun` is the start of. */
export function blockIndentation(begun: string, lines: readonly string[]): number {
  const first = begun + (lines[0] ?? '');
  const next = lines.find((line) => !isBlank(line)) ?? '';
  return Math.max(indentationOf(first), isBlank(first) ? indentationOf(next) : 0);
}
