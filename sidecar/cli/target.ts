/** A place in a file; both counts start at 1. Without a column: the end of the line. */
export interface Target {
  readonly file: string;
  readonly line: number;
  readonly column: number | undefined;
}

/** FILE:LINE or FILE:LINE:COLUMN; the file's path may have colons of its own. */
export function parseTarget(place: string): Target | undefined {
  const [, file, line, column] = /^(.+?):([1-9]\d*)(?::([1-9]\d*))?$/.exec(place) ?? [];
  if (file === undefined) return undefined;
  return { file, line: Number(line), column: column === undefined ? undefined : Number(column) };
}
