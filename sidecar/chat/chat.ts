import { randomInt } from 'node:crypto';
import type { ContextKeeper } from '../context/keeper.ts';
import type { ContextSources } from '../context/sources.ts';
import type { SourceFile } from '../context/settle.ts';
import type { Folder } from '../context/workspace.ts';
import { sampled } from '../engine/sampling.ts';
import type { CompleteEvent } from '../engine/addon.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { failureOf, isCancellation, type Failure } from '../engine/failure.ts';
import type { Turns } from '../engine/turns.ts';
import type { ChatAnswer, ChatParams } from '../protocol.ts';
import { succeed, type Result } from '../result.ts';
import { rate } from '../stats.ts';
import { writeAnswer } from './answer.ts';
import { readAttachments } from './attachments.ts';
import { chatPrompt } from './prompt.ts';
import { readToolCalls } from './toolCalls.ts';

export interface ChatOptions {
  readonly documents: () => Iterable<SourceFile>;
  readonly folders: () => readonly Folder[];
  readonly sources: ContextSources;
  readonly keeper: ContextKeeper;
  readonly turns: Turns;
}

export const chatDefaults = { maxTokens: 2048, temperature: 0.2 } as const;

/**
 * Answers a conversation with a model. The files that completions see are put into the cache first, where they are not yet,
 * and shared with them. Rejects as the engine does, or with the reason of `signal`.
 */
export async function chat(
  model: LoadedModel,
  params: ChatParams,
  { documents, folders, sources, keeper, turns }: ChatOptions,
  signal: AbortSignal,
  onEvent: (event: CompleteEvent) => void,
): Promise<Result<ChatAnswer, Failure>> {
  const started = performance.now();
  const { uri, attachments, tools = [], temperature = chatDefaults.temperature } = params;
  let filled = 0;
  if (uri !== undefined) {
    keeper.use(uri);
    filled = await fill(model, keeper, turns, signal, (done, total) => {
      onEvent({ kind: 'prefill', done, total });
    });
  }
  const hides = (file: string): Promise<boolean> => sources.hides(file);
  const from = { documents: documents(), folders: folders(), hides };
  const { attached, leftOut } = await readAttachments(attachments, from);
  const prompt = await chatPrompt(model, {
    ...{ messages: params.messages, tools, attached, leftOut },
    ...(uri === undefined ? {} : { files: { stable: keeper.take(model, uri), inUse: uri } }),
    maxTokens: params.maxTokens ?? chatDefaults.maxTokens,
  });
  if (!prompt.ok) return prompt;

  let firstTokenSeconds: number | undefined;
  const sampling = sampled(temperature, randomInt(2 ** 31));
  const written = await writeAnswer(model, prompt.value, sampling, turns, signal, (event) => {
    if (event.kind === 'text') firstTokenSeconds ??= (performance.now() - started) / 1000;
    onEvent(event);
  });
  const prefill = rate(written.prefilledTokens, written.prefillSeconds);
  const decode =
    written.generatedTokens > 1 ? rate(written.generatedTokens, written.decodeSeconds) : undefined;
  return succeed({
    ...(tools.length > 0 ? readToolCalls(written.text) : { text: written.text, toolCalls: [] }),
    finish: written.finish,
    context: {
      ...prompt.value.context,
      reusedTokens: Math.max(0, written.reusedTokens - filled),
    },
    generatedTokens: written.generatedTokens,
    firstTokenSeconds: firstTokenSeconds ?? (performance.now() - started) / 1000,
    ...(prefill === undefined ? {} : { prefillTokensPerSecond: prefill }),
    ...(decode === undefined ? {} : { decodeTokensPerSecond: decode }),
    tiers: model.native.stats().tiers,
  });
}

/** Puts the files into the cache; gives the tokens that were evaluated for that. Where memory lacks there are fewer files. */
async function fill(
  model: LoadedModel,
  keeper: ContextKeeper,
  turns: Turns,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void,
): Promise<number> {
  let before = 0;
  for (;;) {
    let now = 0;
    const isDone = await turns.next(signal, async (turn) => {
      try {
        await keeper.fill(model, turn, (done, total) => {
          now = done;
          onProgress(before + done, before + total);
        });
        return !turn.aborted;
      } catch (error) {
        if (signal.aborted) throw error;
        if (isCancellation(failureOf(error))) return false;
        keeper.shrink(model);
        return true;
      }
    });
    before += now;
    if (isDone) return before;
  }
}
