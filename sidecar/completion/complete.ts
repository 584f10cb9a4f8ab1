import type { CompleteEvent, CompleteResult, Sampling } from '../engine/addon.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { fileHead, startOf } from '../context/head.ts';
import { noStablePrefix, type StablePrefix } from '../context/stable.ts';
import { failureOf, type Failure } from '../engine/failure.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';
import type { Tokenizer } from '../engine/tokenizer.ts';
import { joinTokens } from '../engine/tokens.ts';
import { charactersPerToken, type TextRange } from '../context/settle.ts';
import type { Prompt } from '../context/show.ts';
import type { ContextInSight } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { CursorSyntax } from '../syntax/cursor.ts';
import type { Grammars } from '../syntax/parser.ts';
import { isLineWritten, reachInLine } from '../syntax/reach.ts';
import { fitContext } from './budget.ts';
import { excerptAt, withoutLastSpace, type Excerpt } from './excerpt.ts';
import { canFillInTheMiddle, markersOf, promptFrame } from './fim.ts';
import { filterCompletion } from './filter.ts';
import type { Place } from './place.ts';

export interface CompletionRequest extends Place {
  /** The file's name as the model is told it. */
  readonly name: string;
  readonly maxTokens: number;
  /** Absent: greedy. */
  readonly sampling?: Sampling;
  /** The document is not so yet. */
  readonly isAhead?: boolean;
  /** What the editor calls the document's language. */
  readonly languageId?: string;
  /** Several lines are wanted wherever the cursor is. */
  readonly anywhere?: boolean;
  /** Absent: completions end by indentation alone. */
  readonly grammars?: Grammars;
  /** The most tokens around the cursor; absent: as many as the context holds. */
  readonly liveTokens?: number;
  /** Where the lines before the cursor started in the request before: they do so again where that is possible. */
  readonly liveStart?: number;
  /** What the prompt starts with, in the cache as a rule. */
  readonly stable?: StablePrefix;
}

export interface Completion {
  /** What to insert at the cursor; empty when there is nothing to offer. */
  readonly text: string;
  readonly inSight: ContextInSight;
  /** The characters around the cursor that the prompt has as they are now. */
  readonly shown: TextRange;
  readonly prompt: Prompt;
  readonly result: CompleteResult;
}

/** Told how a completion goes on, what the model sees for it, and the text to insert so far, filtered by nothing. */
export type CompletionListener = (
  event: CompleteEvent,
  inSight: ContextInSight,
  text: string,
) => void;

/** Characters; lines before the cursor start in the middle of one that is longer. */
const longestLine = 200;

/** Of a model that was not asked. */
export const noResult: CompleteResult = {
  text: '',
  tokens: new Int32Array(),
  finish: 'end',
  reusedTokens: 0,
  prefilledTokens: 0,
  draftedTokens: 0,
  acceptedTokens: 0,
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
  const reach = Math.min(model.native.info.contextTokens, request.liveTokens ?? Infinity);
  const excerpt = excerptOf(request, charactersPerToken * reach);
  if (!excerpt.ok) return excerpt;
  try {
    return succeed(await completeExcerpt(model, request, excerpt.value, signal, onEvent));
  } catch (error) {
    return fail(failureOf(error));
  }
}

/** What a completion looks at of its document: about `reach` characters on either side of the cursor. */
export function excerptOf(
  { name, text, offset }: CompletionRequest,
  reach: number,
): Result<Excerpt, Failure> {
  const excerpt = withoutLastSpace(excerptAt(text, offset, reach));
  if (excerpt.prefix.includes('\0') || excerpt.suffix.includes('\0')) {
    return fail({
      code: 'DOCUMENT_BINARY',
      message: `${name} holds NUL characters: binary documents get no completions.`,
    });
  }
  return succeed(excerpt);
}

/** What is offered of a model's answer at the cursor. */
export function offeredOf(
  answer: string,
  isCutOff: boolean,
  excerpt: Excerpt,
  syntax: CursorSyntax | undefined,
): string {
  const { prefix: before, suffix: after, lineEnd } = excerpt;
  return insertable(
    filterCompletion(answer, isCutOff, { before, after, lineEnd, syntax }),
    excerpt,
  );
}

/** The space before the cursor, which the model was not shown, is there already. */
export const insertable = (text: string, { endsInSpace }: Excerpt): string =>
  endsInSpace ? text.replace(/^ /, '') : text;

async function completeExcerpt(
  { native, tokenizer }: LoadedModel,
  request: CompletionRequest,
  excerpt: Excerpt,
  signal: AbortSignal,
  onEvent: CompletionListener,
): Promise<Completion> {
  const { info } = native;
  const [head, prefix, suffix] = await Promise.all([
    fileHead(info, tokenizer, request.name),
    tokenizer.tokenize(excerpt.prefix),
    tokenizer.tokenize(excerpt.suffix),
  ]);
  const frame = promptFrame(info, head);
  const { stable = noStablePrefix } = request;
  const before = stable.tokens.length > 0 ? stable.tokens : startOf(info);
  const maxTokens = Math.min(request.maxTokens, Math.floor(info.contextTokens / 2));
  const room = Math.max(0, info.contextTokens - maxTokens - frame.length - before.length);
  const suffixInUse = canFillInTheMiddle(info.fim) ? suffix.length : 0;
  const live = Math.min(room, request.liveTokens ?? room);
  const budget = fitContext(prefix.length, suffixInUse, live);
  const suffixKept = suffixInUse - budget.suffixOmitted;
  const linesBefore =
    budget.prefixOmitted === 0 || request.liveTokens === undefined
      ? {
          tokens: prefix.subarray(budget.prefixOmitted),
          start: excerpt.start + charactersOf(excerpt.prefix, prefix, budget.prefixOmitted),
        }
      : await anchored(tokenizer, request, excerpt, prefix, live - suffixKept);
  const sides = {
    prefix: await tokenizer.wholeCharacters(linesBefore.tokens, {
      start: linesBefore.tokens.length < prefix.length,
      end: false,
    }),
    suffix: await tokenizer.wholeCharacters(suffix.subarray(0, suffixKept), {
      start: false,
      end: suffixKept < suffix.length,
    }),
  };

  const inSight = sightOf(request, stable, excerpt, { prefix, suffix }, sides);
  const tokens = joinTokens([before, frame.join(sides.prefix, sides.suffix)]);
  const shown = {
    start: linesBefore.start,
    end: excerpt.end - charactersOf(excerpt.suffix, suffix, suffix.length - suffixKept),
  };
  const prompt = { uri: request.uri, stable, ...sides };
  // Without markers an empty document leaves the model nothing to continue.
  if (tokens.length === 0) return { text: '', inSight, shown, prompt, result: noResult };

  let written = '';
  let syntax: CursorSyntax | undefined;
  let isOver = false;
  const job = native.complete(
    {
      tokens,
      maxTokens,
      ...(stable.tokens.length > 0 ? { sharedTokens: stable.tokens.length } : {}),
      sampling: request.sampling ?? greedy,
      stopTokens: Int32Array.from(markersOf(info.fim)),
    },
    (event) => {
      if (event.kind === 'text') {
        written += event.text;
        if (!isOver && isComplete(written, excerpt, syntax)) job.finish();
      }
      onEvent(event, inSight, insertable(written, excerpt));
    },
  );
  // While the model reads its prompt.
  const { name, languageId, anywhere = false, grammars } = request;
  const place = { name, languageId, before: excerpt.prefix, after: excerpt.suffix, anywhere };
  const parsing = grammars && CursorSyntax.at(place, grammars);
  try {
    const [result] = await Promise.all([
      runJob(job, signal),
      parsing?.then((parsed) => (syntax = parsed)),
    ]);
    const isCutOff = result.finish === 'length' || result.finish === 'context';
    const text = offeredOf(result.text, isCutOff, excerpt, syntax);
    return { text, inSight, shown, prompt, result };
  } finally {
    // What is told of an aborted job may come late.
    isOver = true;
    (await parsing)?.close();
  }
}

/** Whether nothing that the model writes from here on would be offered. */
export const isComplete = (
  written: string,
  { suffix }: Excerpt,
  syntax: CursorSyntax | undefined,
): boolean =>
  syntax?.isComplete(written) ?? (reachInLine(suffix) === 'line' && isLineWritten(written));

/**
 * At most `room` tokens before the cursor, from where they started in the request before, so that what the cache has of them
 * is used again; from elsewhere once they do not fit any more, or have become few. `all`: those of the excerpt's prefix.
 */
async function anchored(
  tokenizer: Tokenizer,
  { text, liveStart }: CompletionRequest,
  { prefix, start: first, cursor }: Excerpt,
  all: Int32Array,
  room: number,
): Promise<{ readonly tokens: Int32Array; readonly start: number }> {
  const from = (start: number): Promise<Int32Array> =>
    tokenizer.tokenize(text.slice(start, cursor).replaceAll('\r\n', '\n'));
  if (liveStart !== undefined && liveStart >= first && liveStart < cursor) {
    const tokens = await from(liveStart);
    if (tokens.length <= room && 2 * tokens.length >= room) return { tokens, start: liveStart };
  }
  // A quarter is left for what is written next.
  const wanted = cursor - charactersOf(prefix, all, Math.floor((room * 3) / 4));
  const lineStart = text.indexOf('\n', wanted) + 1;
  const start = lineStart > wanted && lineStart < wanted + longestLine ? lineStart : wanted;
  const tokens = await from(start);
  return { tokens: tokens.subarray(Math.max(0, tokens.length - room)), start };
}

interface Sides {
  readonly prefix: Int32Array;
  readonly suffix: Int32Array;
}

/** What the model sees of the document, and of others; `all` is what was looked at, `live` what is around the cursor. */
function sightOf(
  { uri }: CompletionRequest,
  stable: StablePrefix,
  excerpt: Excerpt,
  all: Sides,
  live: Sides,
): ContextInSight {
  const before = estimateTokens(excerpt.start, all.prefix.length, excerpt.prefix.length);
  const after = estimateTokens(excerpt.after, all.suffix.length, excerpt.suffix.length);
  return {
    uri,
    documentTokens: before + all.prefix.length + all.suffix.length + after,
    prefixTokens: live.prefix.length,
    suffixTokens: live.suffix.length,
    omittedBefore: before + all.prefix.length - live.prefix.length,
    omittedAfter: after + all.suffix.length - live.suffix.length,
    files: stable.files,
    leftOut: stable.leftOut,
  };
}

/** Tokens of the characters that were not looked at, as dense as those that were. */
const estimateTokens = (unseen: number, tokens: number, characters: number): number =>
  characters === 0 ? 0 : Math.round((unseen * tokens) / characters);

/** About how many characters so many of the tokens of `text` are. */
const charactersOf = (text: string, { length }: Int32Array, count: number): number =>
  length === 0 ? 0 : Math.ceil((text.length * count) / length);
