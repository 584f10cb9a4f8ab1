import { untilOrAborted } from './line.ts';

/**
 * Whose turn it is on the engine: what is waited for at every keystroke goes first, and long work makes way for it and goes
 * on afterwards.
 */
export class Turns {
  #urgent = 0;
  #free: PromiseWithResolvers | undefined;
  /** Of the long work that has its turn. */
  readonly #running = new Set<AbortController>();

  /** Runs what is waited for; long work is told to make way at once. */
  async first<T>(work: () => Promise<T>): Promise<T> {
    this.#urgent++;
    this.#free ??= withResolvers();
    for (const turn of this.#running) turn.abort();
    try {
      return await work();
    } finally {
      this.#urgent--;
      if (this.#urgent === 0) {
        this.#free.resolve();
        this.#free = undefined;
      }
    }
  }

  /**
   * Runs a piece of long work once nothing goes first. Its signal fires when it is to make way, or with `signal`. Rejects
   * with the reason of `signal` where that fires before the turn has come.
   */
  async next<T>(signal: AbortSignal, work: (turn: AbortSignal) => Promise<T>): Promise<T> {
    while (this.#free !== undefined) await untilOrAborted(this.#free.promise, signal);
    signal.throwIfAborted();
    const turn = new AbortController();
    this.#running.add(turn);
    try {
      return await work(AbortSignal.any([turn.signal, signal]));
    } finally {
      this.#running.delete(turn);
    }
  }
}

interface PromiseWithResolvers {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

function withResolvers(): PromiseWithResolvers {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
