/** A file as it was settled, in the tokens that prompts start with. */
export interface Part {
  readonly uri: string;
  /** The document at that time, and which of its characters the part shows. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** The file's head and these characters. */
  readonly tokens: Int32Array;
  readonly headTokens: number;
  /** Of the whole document; an estimate where not all of it was looked at. */
  readonly documentTokens: number;
}

/**
 * Puts what is wanted, the most important part first, in the order that the cache should have it: what fits into `room`
 * tokens. Parts at the start that are `held` as they are stay where they are, since a change evaluates everything behind
 * it again; the others follow, the most important last, next to the lines around the cursor.
 */
export function arrange(
  held: readonly Part[],
  wanted: readonly Part[],
  room: number,
): readonly Part[] {
  const chosen = new Set<Part>();
  let left = room;
  for (const part of wanted) {
    if (part.tokens.length > left) continue;
    chosen.add(part);
    left -= part.tokens.length;
  }
  const firstOther = held.findIndex((part) => !chosen.has(part));
  const kept = firstOther < 0 ? held : held.slice(0, firstOther);
  for (const part of kept) chosen.delete(part);
  return [...kept, ...[...chosen].reverse()];
}
