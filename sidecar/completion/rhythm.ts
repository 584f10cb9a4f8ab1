/** Longer than this between two changes of a document is no typing, in milliseconds. */
const longestInterval = 1000;
/** The longest that a request waits for the next key, in milliseconds. */
const longestDelay = 300;
/** Intervals and answers that count. */
const remembered = 16;

const add = (values: readonly number[], value: number): number[] =>
  [...values, value].slice(-remembered);

function quantileOf(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}

/**
 * When the model is to be asked: at once, where it answers faster than the next key comes. Where it does not, what it writes
 * between two keys would mostly be thrown away: then once the typing has paused for longer than it does between keys.
 */
export class Rhythm {
  #intervals: readonly number[] = [];
  #answers: readonly number[] = [];
  #lastKey = -Infinity;

  /** A document was changed at `now`, in milliseconds. */
  typed(now: number): void {
    const interval = now - this.#lastKey;
    this.#lastKey = now;
    if (interval < longestInterval) this.#intervals = add(this.#intervals, interval);
  }

  /** The model took so many milliseconds for an answer. */
  answered(duration: number): void {
    this.#answers = add(this.#answers, duration);
  }

  /** How many milliseconds a request that comes at `now` is to wait. */
  delay(now: number): number {
    if (quantileOf(this.#answers, 0.5) <= quantileOf(this.#intervals, 0.5)) return 0;
    const pause = Math.min(longestDelay, 1.5 * quantileOf(this.#intervals, 0.75));
    return Math.max(0, this.#lastKey + pause - now);
  }
}
