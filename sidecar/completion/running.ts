import type { Failure } from '../engine/failure.ts';
import type { Result } from '../result.ts';
import type { Completion } from './complete.ts';
import type { RemoteCompletion } from './remotely.ts';
import { markOf, typedSince, type Mark, type Place } from './place.ts';

/** By the local model, or by a server. */
export type Outcome = Result<Completion | RemoteCompletion, Failure>;

/** Gives what the model writes at a place; `onText` gets all of it so far. */
export type Ask = (signal: AbortSignal, onText: (text: string) => void) => Promise<Outcome>;

/** What waits for a completion, at the place where the document was typed on to. */
interface Waiter {
  readonly place: Place;
  readonly leave: (reason: undefined) => void;
}

/** A completion that the model is writing. Others than the one that asked for it may wait for it too. */
export class RunningCompletion {
  readonly mark: Mark;
  readonly outcome: Promise<Outcome>;
  /** Called whenever nobody waits for it any more, and then with every piece of text. */
  readonly #onAlone: () => void;
  readonly #abort = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #text = '';

  constructor(place: Place, ask: Ask, onAlone: () => void) {
    this.mark = markOf(place);
    this.#onAlone = onAlone;
    this.outcome = ask(this.#abort.signal, (text) => {
      this.#text = text;
      for (const waiter of this.#waiters) {
        if (!this.mayAnswer(waiter.place)) waiter.leave(undefined);
      }
      if (!this.isAwaited) onAlone();
    });
  }

  get isAwaited(): boolean {
    return this.#waiters.size > 0;
  }

  abort(): void {
    this.#abort.abort();
  }

  /** Whether what was typed at its place is, as far as it is written, what it says. */
  mayAnswer(place: Place): boolean {
    const typed = this.#abort.signal.aborted ? undefined : typedSince(this.mark, place)?.text;
    return typed !== undefined && (typed.startsWith(this.#text) || this.#text.startsWith(typed));
  }

  /** The outcome; undefined once it cannot be what is waited for any more, or `signal` was aborted. */
  async wait(place: Place, signal: AbortSignal): Promise<Outcome | undefined> {
    let leave: (reason: undefined) => void = () => undefined;
    const left = new Promise<undefined>((resolve) => {
      leave = resolve;
    });
    const waiter = { place, leave };
    const stop = (): void => {
      leave(undefined);
    };
    this.#waiters.add(waiter);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return await Promise.race([this.outcome, left]);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#waiters.delete(waiter);
      if (!this.isAwaited) this.#onAlone();
    }
  }
}
