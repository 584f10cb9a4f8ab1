/** Files that share more of their lines than this say nothing new. */
const mostShared = 0.9;
/** Lines of a file that are compared. */
const comparedLines = 5000;

/** The lines of a text that say something. */
export type Lines = ReadonlySet<string>;

export function linesOf(text: string): Lines {
  const lines = text.split('\n', comparedLines).map((line) => line.trim());
  return new Set(lines.filter((line) => line.length > 3));
}

/** Whether two files are nearly the same: by the share of their lines that both have (Jaccard). */
export function areNearDuplicates(a: Lines, b: Lines): boolean {
  const [smaller, larger] = a.size < b.size ? [a, b] : [b, a];
  if (smaller.size === 0 || smaller.size < mostShared * larger.size) return false;
  let shared = 0;
  for (const line of smaller) if (larger.has(line)) shared++;
  return shared > mostShared * (smaller.size + larger.size - shared);
}
