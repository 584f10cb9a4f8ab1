import type { CompleteEvent, CompleteResult, Sampling } from '../engine/addon.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation } from '../engine/failure.ts';
import { sequences } from '../engine/sequences.ts';
import { joinTokens } from '../engine/tokens.ts';
import type { Turns } from '../engine/turns.ts';
import type { ChatPrompt } from './prompt.ts';

/** Tokens that are written before whoever waits for the engine gets a turn. */
const tokensPerTurn = 64;
/** The most tokens that a character is left to after its first. */
const tokensPerCharacter = 3;

export interface Answer {
  readonly text: string;
  readonly finish: 'end' | 'length' | 'context';
  /** Of the prompt, when the answer was begun. */
  readonly reusedTokens: number;
  readonly generatedTokens: number;
  readonly prefilledTokens: number;
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
}

/**
 * Writes the answer to a prompt in a sequence of its own. What goes first interrupts it between two nodes of a graph while
 * the prompt is evaluated, and between two tokens after that; nothing is evaluated twice. Rejects with ABORTED, or with
 * the reason of `signal`. `onEvent`: tokens of the prompt that are evaluated, of those that were not in the cache; then
 * text as it comes, in whole characters. `enough`: fires where no more is wanted; the answer ends there.
 */
export async function writeAnswer(
  { native }: LoadedModel,
  { tokens: prompt, maxTokens }: Pick<ChatPrompt, 'tokens' | 'maxTokens'>,
  sampling: Sampling,
  turns: Turns,
  signal: AbortSignal,
  onEvent: (event: CompleteEvent) => void,
  enough?: AbortSignal,
): Promise<Answer> {
  let written = new Int32Array();
  let text = '';
  let told = 0;
  let decodeSeconds = 0;
  let first: CompleteResult | undefined;
  let reusedTokens: number | undefined;
  const tell = (until: string): void => {
    if (until.length > told) onEvent({ kind: 'text', text: until.slice(told) });
    told = Math.max(told, until.length);
  };
  for (;;) {
    const isCut = text.endsWith('\uFFFD');
    const begun = text;
    const mostTokens = isCut ? tokensPerCharacter : tokensPerTurn;
    const result = await turns.next(signal, async (interrupted) => {
      let fresh = '';
      let isOver = false;
      const job = native.complete(
        {
          tokens: joinTokens([prompt, written]),
          maxTokens: Math.min(mostTokens, maxTokens - written.length),
          sequence: sequences.chat,
          sampling: { ...sampling, seed: sampling.seed + written.length },
          stopTokens: new Int32Array(),
        },
        (event) => {
          // What is told of an aborted job may come late.
          if (isOver) return;
          if (event.kind === 'text') {
            fresh += event.text;
            // A character that a turn ends in is told once the next one has ended it.
            if (!isCut && !fresh.endsWith('\uFFFD')) tell(begun + fresh);
          } else if (written.length === 0) {
            // What an interrupted turn has evaluated is in the cache by now.
            reusedTokens ??= prompt.length - event.total;
            const total = prompt.length - reusedTokens;
            onEvent({ kind: 'prefill', done: total - event.total + event.done, total });
          }
        },
      );
      const stop = (): void => {
        if (fresh !== '' && !signal.aborted) job.finish();
        else job.abort();
      };
      const finish = (): void => {
        job.finish();
      };
      enough?.addEventListener('abort', finish, { once: true });
      if (interrupted.aborted) stop();
      interrupted.addEventListener('abort', stop, { once: true });
      try {
        return await job.result;
      } catch (error) {
        if (isCancellation(failureOf(error)) && !signal.aborted) return undefined;
        throw error;
      } finally {
        isOver = true;
        enough?.removeEventListener('abort', finish);
        interrupted.removeEventListener('abort', stop);
      }
    });
    if (result === undefined) continue;
    first ??= result;
    reusedTokens ??= result.reusedTokens;
    decodeSeconds += result.decodeSeconds;
    written = joinTokens([written, result.tokens]);
    const finish = enough?.aborted === true ? 'end' : finishOf(result, written.length, maxTokens);
    text = isCut ? await native.detokenize(written) : text + result.text;
    if (finish === undefined) {
      if (!text.endsWith('\uFFFD')) tell(text);
      continue;
    }
    tell(text);
    const { prefilledTokens, prefillSeconds } = first;
    const generatedTokens = written.length;
    return {
      ...{ text, finish, reusedTokens, generatedTokens },
      ...{ prefilledTokens, prefillSeconds, decodeSeconds },
    };
  }
}

/** Undefined while there is more to be written. */
function finishOf(
  { finish }: CompleteResult,
  written: number,
  maxTokens: number,
): Answer['finish'] | undefined {
  if (finish === 'end' || finish === 'context') return finish;
  return written >= maxTokens ? 'length' : undefined;
}
