/** Numbers from 0 up to but not including 1 (mulberry32 over an FNV-1a hash of the seed). */
export function uniformStream(seed: string): () => number {
  let state = 0x811c9dc5;
  for (const byte of Buffer.from(seed, 'utf8')) state = Math.imul(state ^ byte, 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same things in an order that the stream gives. */
export const shuffled = <T>(things: readonly T[], next: () => number): T[] =>
  things
    .map((thing) => ({ thing, order: next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ thing }) => thing);
