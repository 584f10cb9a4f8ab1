/** Waits for a promise; rejects with the reason of `signal` where that fires before. */
export async function untilOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  let fire = (): void => undefined;
  const fired = new Promise<void>((resolve) => {
    fire = resolve;
  });
  signal.addEventListener('abort', fire, { once: true });
  if (!signal.aborted) await Promise.race([promise, fired]);
  signal.removeEventListener('abort', fire);
  signal.throwIfAborted();
}

/** Work that is done one after the other, in the order that it came. */
export class Line {
  #last: Promise<void> = Promise.resolve();

  /** Rejects with the reason of `signal` where that fires before it is its turn. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    let leave = (): void => undefined;
    const mine = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#last = before.then(() => mine);
    try {
      await untilOrAborted(before, signal);
      return await work();
    } finally {
      leave();
    }
  }
}
