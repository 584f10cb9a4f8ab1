import { canFillInTheMiddle, markersOf, promptFrame } from '../completion/fim.ts';
import { startOf } from '../context/head.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { runJob } from '../engine/job.ts';
import { joinTokens } from '../engine/tokens.ts';
import { fail, succeed, type Result } from '../result.ts';
import type { ApiError } from './apiError.ts';
import type { CompletionBody } from './schema.ts';
import { TextUpTo } from './textUpTo.ts';
import { mostTokens, roomBehind, samplingOf, type Shared, type Work } from './work.ts';

/** Of OpenAI's interface. */
const defaultTokens = 16;

/** A text that is continued, or, with a suffix, filled in before that. */
export async function completionWork(
  { model, turns, completions }: Shared,
  body: CompletionBody,
): Promise<Result<Work, ApiError>> {
  const { native } = model;
  const { info } = native;
  const prompt = await promptOf(model, body);
  if (!prompt.ok) return prompt;
  const tokens = prompt.value;
  const room = roomBehind(tokens, info, 'prompt');
  if (!room.ok) return room;
  const maxTokens = mostTokens(body.max_tokens ?? defaultTokens, room.value);
  const sampling = samplingOf(body, 0);

  return succeed((signal, onText) =>
    turns.first(() =>
      completions.run(signal, async () => {
        const upToStop = new TextUpTo(body.stop);
        let arrived = 0;
        let text = '';
        let isOver = false;
        const tell = (piece: string): void => {
          if (piece !== '') onText(piece);
          text += piece;
        };
        const job = native.complete(
          { tokens, maxTokens, sampling, stopTokens: Int32Array.from(markersOf(info.fim)) },
          (event) => {
            // What is told of a job that has ended may come late.
            if (event.kind !== 'text' || isOver) return;
            arrived += event.text.length;
            tell(upToStop.push(event.text));
            if (upToStop.isFound) job.finish();
          },
        );
        try {
          const result = await runJob(job, signal);
          isOver = true;
          // The last token may have begun a character that nothing has ended.
          tell(upToStop.push(result.text.slice(arrived)) + upToStop.end());
          const isCut = result.finish === 'length' || result.finish === 'context';
          return {
            ...{ text, toolCalls: [] },
            finish: isCut && !upToStop.isFound ? 'length' : 'stop',
            promptTokens: tokens.length,
            cachedTokens: result.reusedTokens,
            generatedTokens: result.tokens.length,
          };
        } finally {
          isOver = true;
        }
      }),
    ),
  );
}

/** Markers that a client has put into a prompt are markers; beside a suffix all of it is text. */
async function promptOf(
  { native, tokenizer }: LoadedModel,
  { prompt, suffix }: CompletionBody,
): Promise<Result<Int32Array, ApiError>> {
  const { info } = native;
  const start = startOf(info);
  if (suffix === null || suffix === undefined || suffix === '') {
    return succeed(joinTokens([start, await native.tokenize(prompt, true)]));
  }
  if (!canFillInTheMiddle(info.fim)) {
    return fail({
      ...{ status: 400, param: 'suffix' },
      message: `suffix cannot be used: ${info.name} has no fill-in-the-middle tokens. Leave it out, or start the server with a code model.`,
    });
  }
  const sides = [tokenizer.tokenize(prompt), tokenizer.tokenize(suffix)] as const;
  return succeed(joinTokens([start, promptFrame(info, []).join(...(await Promise.all(sides)))]));
}
