import type { FileSource } from '../protocol.ts';

/** A file as it was settled, in the tokens that prompts start with. */
export interface Part {
  readonly uri: string;
  readonly source: FileSource;
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
  // The tokens say whether a part is as it was: why it is wanted may have changed.
  const chosen = new Map<Int32Array, Part>();
  let left = room;
  for (const part of wanted) {
    if (part.tokens.length > left) continue;
    chosen.set(part.tokens, part);
    left -= part.tokens.length;
  }
  const firstOther = held.findIndex(({ tokens }) => !chosen.has(tokens));
  const kept: Part[] = [];
  for (const { tokens } of firstOther < 0 ? held : held.slice(0, firstOther)) {
    const part = chosen.get(tokens);
    if (part !== undefined) kept.push(part);
    chosen.delete(tokens);
  }
  return [...kept, ...[...chosen.values()].reverse()];
}
