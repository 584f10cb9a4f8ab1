import type { CompleteEvent, CompleteResult } from '../engine/addon.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, type Failure } from '../engine/failure.ts';
import { runJob } from '../engine/job.ts';
import type { ContextInSight } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { fitContext } from './budget.ts';
import { excerptAt, type Excerpt } from './excerpt.ts';
import { canFillInTheMiddle, markersOf, promptFrame } from './fim.ts';
import { trimCompletion } from './trim.ts';

/** More characters than a token has on average in any text worth completing. */
const charactersPerToken = 8;

/** Greedy: the same document gives the same completion. */
const greedy = { temperature: 0, topK: 1, topP: 1, minP: 0, seed: 0 } as const;

export interface CompletionRequest {
  readonly uri: string;
  /** The file's name as the model is told it. */
  readonly name: string;
  readonly text: string;
  /** The cursor, in UTF-16 code units from the start of `text`. */
  readonly offset: number;
  readonly maxTokens: number;
}

export interface Completion {
  /** What to insert at the cursor; empty when there is nothing to offer. */
  readonly text: string;
  readonly inSight: ContextInSight;
  readonly result: CompleteResult;
}

/** Told how a completion goes on, and what the model sees for it. */
export type CompletionListener = (event: CompleteEvent, inSight: ContextInSight) => void;

const nothing: CompleteResult = {
  text: '',
  tokens: new Int32Array(),
  finish: 'end',
  reusedTokens: 0,
  prefilledTokens: 0,
  prefillSeconds: 0,
  decodeSeconds: 0,
};

/** Completes a document at the cursor, with as much of it in the prompt as the context holds. */
export async function complete(
  model: LoadedModel,
  request: CompletionRequest,
  signal: AbortSignal,
  onEvent: CompletionListener = () => undefined,
): Promise<Result<Completion, Failure>> {
  const excerpt = excerptAt(
    request.text,
    request.offset,
    charactersPerToken * model.native.info.contextTokens,
  );
  if (excerpt.prefix.includes('\0') || excerpt.suffix.includes('\0')) {
    return fail({
      code: 'DOCUMENT_BINARY',
      message: `${request.name} holds NUL characters: binary documents get no completions.`,
    });
  }
  try {
    return succeed(await completeExcerpt(model, request, excerpt, signal, onEvent));
  } catch (error) {
    return fail(failureOf(error));
  }
}

async function completeExcerpt(
  { native, tokenizer }: LoadedModel,
  request: CompletionRequest,
  excerpt: Excerpt,
  signal: AbortSignal,
  onEvent: CompletionListener,
): Promise<Completion> {
  const { info } = native;
  const [nameLine, prefix, suffix] = await Promise.all([
    tokenizer.tokenize(`${request.name}\n`),
    tokenizer.tokenize(excerpt.prefix),
    tokenizer.tokenize(excerpt.suffix),
  ]);
  const frame = promptFrame(info, nameLine);
  const maxTokens = Math.min(request.maxTokens, Math.floor(info.contextTokens / 2));
  const room = Math.max(0, info.contextTokens - maxTokens - frame.length);
  const suffixInUse = canFillInTheMiddle(info.fim) ? suffix.length : 0;
  const budget = fitContext(prefix.length, suffixInUse, room);
  const suffixKept = suffixInUse - budget.suffixOmitted;

  const before = estimateTokens(excerpt.before, prefix.length, excerpt.prefix.length);
  const after = estimateTokens(excerpt.after, suffix.length, excerpt.suffix.length);
  const inSight: ContextInSight = {
    uri: request.uri,
    documentTokens: before + prefix.length + suffix.length + after,
    prefixTokens: prefix.length - budget.prefixOmitted,
    suffixTokens: suffixKept,
    omittedBefore: before + budget.prefixOmitted,
    omittedAfter: after + suffix.length - suffixKept,
  };
  const tokens = frame.join(prefix.subarray(budget.prefixOmitted), suffix.subarray(0, suffixKept));
  // Without markers an empty document leaves the model nothing to continue.
  if (tokens.length === 0) return { text: '', inSight, result: nothing };

  const job = native.complete(
    {
      tokens,
      maxTokens,
      sampling: greedy,
      stopTokens: Int32Array.from(markersOf(info.fim)),
    },
    (event) => {
      onEvent(event, inSight);
    },
  );
  const result = await runJob(job, signal);
  const restOfLine = /^[^\n]*/.exec(excerpt.suffix)?.[0] ?? '';
  const text = trimCompletion(result.text, result.finish !== 'end', {
    restOfLine,
    lineEnd: excerpt.lineEnd,
  });
  return { text, inSight, result };
}

/** Tokens of the characters that were not looked at, as dense as those that were. */
const estimateTokens = (unseen: number, tokens: number, characters: number): number =>
  characters === 0 ? 0 : Math.round((unseen * tokens) / characters);
