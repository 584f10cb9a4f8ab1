import { writeAnswer } from '../chat/answer.ts';
import { chatDefaults } from '../chat/chat.ts';
import { tokensOf } from '../chat/prompt.ts';
import { ChatTemplate } from '../chat/template.ts';
import { callMark, readToolCalls } from '../chat/toolCalls.ts';
import { startOf } from '../context/head.ts';
import type { CompleteEvent } from '../engine/addon.ts';
import { joinTokens } from '../engine/tokens.ts';
import { fail, succeed, type Result } from '../result.ts';
import { apiErrorOf, type ApiError } from './apiError.ts';
import type { ChatBody } from './schema.ts';
import { TextUpTo } from './textUpTo.ts';
import { mostTokens, roomBehind, samplingOf, type Shared, type Work } from './work.ts';

/** A conversation that is answered, as it is: nothing is added to it, and nothing of it is left out. */
export async function chatWork(
  { model, turns, chats }: Shared,
  body: ChatBody,
): Promise<Result<Work, ApiError>> {
  const { info } = model.native;
  const template = ChatTemplate.of(info);
  if (!template.ok) return fail(apiErrorOf(template.error));
  const tools = body.tool_choice === 'none' ? [] : body.tools;
  if (tools.length > 0 && !template.value.takesTools) {
    return fail({
      ...{ status: 400, param: 'tools' },
      message: `tools cannot be used: the template of ${info.name} has no place for them. Leave them out, or start the server with a model that calls tools.`,
    });
  }
  const segments = template.value.render(body.messages, tools);
  if (!segments.ok) return fail({ ...apiErrorOf(segments.error), param: 'messages' });
  const tokens = joinTokens([startOf(info), await tokensOf(model, segments.value)]);
  const room = roomBehind(tokens, info, 'messages');
  if (!room.ok) return room;
  const asked = body.max_completion_tokens ?? body.max_tokens ?? chatDefaults.maxTokens;
  const maxTokens = mostTokens(asked, room.value);
  const sampling = samplingOf(body, chatDefaults.temperature);

  return succeed((signal, onText) =>
    chats.run(signal, async () => {
      const upToStop = new TextUpTo(body.stop);
      const upToCall = new TextUpTo(tools.length > 0 ? [callMark] : []);
      const enough = new AbortController();
      let all = '';
      let text = '';
      const tell = (piece: string): void => {
        if (piece !== '') onText(piece);
        text += piece;
      };
      const take = (piece: string): void => {
        all += piece;
        tell(upToCall.push(piece));
      };
      const onEvent = (event: CompleteEvent): void => {
        if (event.kind !== 'text') return;
        take(upToStop.push(event.text));
        if (upToStop.isFound) enough.abort();
      };
      const prompt = { tokens, maxTokens };
      const answer = await writeAnswer(
        model,
        prompt,
        sampling,
        turns,
        signal,
        onEvent,
        enough.signal,
      );
      take(upToStop.end());
      tell(upToCall.end());
      const said = readToolCalls(all.slice(text.length));
      tell(said.text);
      const isCut = answer.finish !== 'end' && !upToStop.isFound;
      return {
        ...{ text, toolCalls: said.toolCalls },
        finish: said.toolCalls.length > 0 ? 'tool_calls' : isCut ? 'length' : 'stop',
        promptTokens: tokens.length,
        cachedTokens: answer.reusedTokens,
        generatedTokens: answer.generatedTokens,
      };
    }),
  );
}
