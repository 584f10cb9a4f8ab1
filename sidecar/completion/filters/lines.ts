export const isBlank = (line: string): boolean => !/\S/.test(line);

export const indentationOf = (line: string): number => /^\s*/.exec(line)?.[0].length ?? 0;

/** The lines below the cursor that hold something; `after` is what follows the cursor. */
export const linesBelow = (after: string): string[] =>
  after
    .split('\n')
    .slice(1)
    .filter((line) => !isBlank(line));
