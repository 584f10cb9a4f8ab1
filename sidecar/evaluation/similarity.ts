import { distance } from 'fastest-levenshtein';

/** 1 less the edits that turn one text into the other, over the longer one's length. */
export function editSimilarity(a: string, b: string): number {
  const longer = Math.max(a.length, b.length);
  return longer === 0 ? 1 : 1 - distance(a, b) / longer;
}

/** Names, numbers and signs. */
const words = (text: string): string[] => text.match(/\w+|[^\w\s]/g) ?? [];

/**
 * F1 of the longest common subsequence of words (ROUGE-L, Lin 2004), 0 to 1: code has no sentences, so the text is one.
 */
export function rougeL(written: string, expected: string): number {
  const [a, b] = [words(written), words(expected)];
  if (a.length === 0 || b.length === 0) return Number(a.length === b.length);
  let row = new Array<number>(b.length + 1).fill(0);
  for (const word of a) {
    const next = [0];
    for (const [index, other] of b.entries())
      next.push(
        word === other ? (row[index] ?? 0) + 1 : Math.max(row[index + 1] ?? 0, next[index] ?? 0),
      );
    row = next;
  }
  const common = row.at(-1) ?? 0;
  return (2 * common) / (a.length + b.length);
}
