import { setTimeout as sleep } from 'node:timers/promises';
import type { Sampling } from '../engine/addon.ts';
import { cancelled, type Failure } from '../engine/failure.ts';
import { greedy, sampled } from '../engine/sampling.ts';
import { fail, succeed, type Result } from '../result.ts';
import type { Completion, CompletionRequest } from './complete.ts';
import { OfferedCompletions } from './offered.ts';
import { isBeforeWord, restOf, type Rest } from './place.ts';
import type { RemoteCompletion } from './remotely.ts';
import { Rhythm } from './rhythm.ts';
import { RunningCompletion, type Outcome } from './running.ts';

/** How long after a request was given up the document may still turn out to go on as it is written, in milliseconds. */
const graceMs = 20;
/** How long a completion that is being typed goes on without anyone waiting for it, in milliseconds. */
const patienceMs = 1000;
/** How long an offer is looked at before what follows it is prepared, in milliseconds. */
const lookMs = 250;

/** The candidates beside the likeliest one when a user asks for completions. */
const others: readonly Sampling[] = [1, 2].map((seed) => sampled(0.8, seed));

/** What is offered; `completion`: what the model did for it, where it was asked. */
export interface Offer extends Rest {
  readonly completion?: Completion | RemoteCompletion;
}

/** What the model writes into a document. */
export interface Filling {
  readonly text: string;
  /** It ran into its bound: what follows in the document does not follow it. */
  readonly isCutOff: boolean;
}

export interface RequestsOptions {
  readonly ask: (
    request: CompletionRequest,
    signal: AbortSignal,
    onText: (text: string) => void,
  ) => Promise<Outcome>;
  /** A document as it is now. */
  readonly textOf: (uri: string) => string | undefined;
}

const nothing: Offer = { text: '', replaces: 0 };

/**
 * Decides what the model is asked and when. What was offered or is being written is not asked for again while it is what
 * the user types.
 */
export class CompletionRequests {
  readonly #options: RequestsOptions;
  readonly #offered = new OfferedCompletions();
  readonly #rhythm = new Rhythm();
  /** By URI. */
  readonly #running = new Map<string, RunningCompletion>();
  /** What is written for when an offer is accepted, and the document's text without that offer. */
  #prepared: { readonly running: RunningCompletion; readonly text: string } | undefined;
  #planned: NodeJS.Timeout | undefined;

  constructor(options: RequestsOptions) {
    this.#options = options;
  }

  /** Everything is another model's now. */
  clear(): void {
    clearTimeout(this.#planned);
    this.#abortUnawaited();
    this.#offered.clear();
  }

  /** Ends what runs and what is planned. */
  stop(): void {
    clearTimeout(this.#planned);
    for (const running of this.#running.values()) running.abort();
  }

  /** A document was opened, closed or changed. */
  documentChanged(uri: string): void {
    clearTimeout(this.#planned);
    this.#rhythm.typed(performance.now());
    const running = this.#running.get(uri);
    if (running !== undefined) this.#review(running);
  }

  /** What is to be offered while a user types. */
  async complete(request: CompletionRequest, signal: AbortSignal): Promise<Result<Offer, Failure>> {
    clearTimeout(this.#planned);
    if (isBeforeWord(request)) return succeed(nothing);
    const offer = await this.#find(request, signal);
    if (offer.ok && offer.value.text !== '' && !signal.aborted) this.#plan(request, offer.value);
    return offer;
  }

  /** What is offered to a user who asks for it: several candidates, the likeliest first. */
  async candidates(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<readonly Offer[], Failure>> {
    clearTimeout(this.#planned);
    this.#running.get(request.uri)?.abort();
    const offers = new Map<string, Offer>();
    for (const sampling of [greedy, ...others]) {
      const outcome = await this.#start({ ...request, sampling, anywhere: true }).wait(
        request,
        signal,
      );
      if (outcome === undefined) return fail(cancelled);
      if (!outcome.ok) return outcome;
      const { text } = outcome.value;
      if (text !== '' && !offers.has(text))
        offers.set(text, { text, replaces: 0, completion: outcome.value });
    }
    for (const text of [...offers.keys()].reverse()) this.#offered.remember(request, text);
    return succeed([...offers.values()]);
  }

  /** What the model writes in a document as it would be. A completion of the document goes first. */
  async fill(request: CompletionRequest, signal: AbortSignal): Promise<Result<Filling, Failure>> {
    clearTimeout(this.#planned);
    const running = this.#running.get(request.uri);
    if (running?.isAwaited === true) await running.outcome;
    if (signal.aborted) return fail(cancelled);
    const outcome = await this.#start({ ...request, isAhead: true }).wait(request, signal);
    if (outcome === undefined) return fail(cancelled);
    if (!outcome.ok) return outcome;
    const { text } = outcome.value;
    const { finish } = 'answer' in outcome.value ? outcome.value.answer : outcome.value.result;
    return succeed({ text, isCutOff: finish === 'length' || finish === 'context' });
  }

  async #find(request: CompletionRequest, signal: AbortSignal): Promise<Result<Offer, Failure>> {
    let waited = false;
    while (!signal.aborted) {
      const rest = this.#offered.find(request);
      if (rest !== undefined) return succeed(rest);
      let running = this.#running.get(request.uri);
      if (running?.mayAnswer(request) !== true) {
        if (!waited) {
          waited = true;
          await pause(this.#rhythm.delay(performance.now()), signal);
          continue;
        }
        running?.abort();
        running = this.#start(request);
      }
      const outcome = await running.wait(request, signal);
      if (outcome === undefined) continue;
      if (!outcome.ok) return outcome;
      const { text } = outcome.value;
      const left = restOf(text, running.mark, request);
      if (left !== undefined) return succeed({ ...left, completion: outcome.value });
      if (text === '' || request.offset === running.mark.offset)
        return succeed({ ...nothing, completion: outcome.value });
    }
    return fail(cancelled);
  }

  /** Asks the model. What nobody waits for would only be in the way. */
  #start(request: CompletionRequest): RunningCompletion {
    this.#abortUnawaited();
    const { uri } = request;
    const started = performance.now();
    const running: RunningCompletion = new RunningCompletion(
      request,
      async (signal, onText) => {
        const outcome = await this.#options.ask(request, signal, onText);
        if (this.#running.get(uri) === running) this.#running.delete(uri);
        if (outcome.ok && !signal.aborted) {
          this.#rhythm.answered(performance.now() - started);
          if (outcome.value.text !== '') this.#offered.remember(request, outcome.value.text);
        }
        return outcome;
      },
      () => {
        setTimeout(() => {
          this.#review(running);
        }, graceMs);
      },
    );
    this.#running.set(uri, running);
    return running;
  }

  #abortUnawaited(): void {
    for (const running of this.#running.values()) if (!running.isAwaited) running.abort();
  }

  /** Ends a completion that nobody waits for, unless its document goes on as it says. */
  #review(running: RunningCompletion): void {
    const { uri } = running.mark;
    if (running.isAwaited || this.#running.get(uri) !== running) return;
    const text = this.#options.textOf(uri);
    const prepared = this.#prepared?.running === running ? this.#prepared : undefined;
    if (text !== undefined && prepared?.text === text) return;
    const least = prepared === undefined ? 1 : 0;
    if (text === undefined || !isTypedInto(running, text, least)) {
      running.abort();
      return;
    }
    setTimeout(() => {
      if (!running.isAwaited && this.#options.textOf(uri) === text) running.abort();
    }, patienceMs).unref();
  }

  /** Once an offer has been looked at for a while, the completion behind it is written, for when it is accepted. */
  #plan(request: CompletionRequest, { text, replaces }: Offer): void {
    this.#planned = setTimeout(() => {
      if (this.#running.size > 0) return;
      const offset = request.offset + text.length;
      const accepted = {
        ...request,
        text:
          request.text.slice(0, request.offset) +
          text +
          request.text.slice(request.offset + replaces),
        offset,
        isAhead: true,
      };
      if (isBeforeWord(accepted) || this.#offered.find(accepted) !== undefined) return;
      this.#prepared = { running: this.#start(accepted), text: request.text };
    }, lookMs);
    this.#planned.unref();
  }
}

/** Whether a document is what it was, with at least so many characters typed at the mark that `running` may have written. */
function isTypedInto(running: RunningCompletion, text: string, least: number): boolean {
  const { uri, offset, length } = running.mark;
  const end = offset + text.length - length;
  // The last character may be a bracket that the editor has closed by itself.
  return (
    text.length >= length + least &&
    [end, end - 1].some((cursor) => running.mayAnswer({ uri, text, offset: cursor }))
  );
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0) return;
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
