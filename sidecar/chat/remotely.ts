import type { CompleteEvent } from '../engine/addon.ts';
import { failureOf, type Failure } from '../engine/failure.ts';
import type { ChatAnswer, ChatParams } from '../protocol.ts';
import { serverCharactersPerToken, type RemoteServer } from '../remote/server.ts';
import { fail, succeed, type Result } from '../result.ts';
import { readAttachments, type AttachmentSources } from './attachments.ts';
import { chatDefaults } from './chat.ts';
import { section, turnsOf } from './prompt.ts';

/**
 * Answers a conversation on a team's server, with the attachments in front of it. Tokens of single files are not counted: only
 * the server knows its tokens.
 */
export async function chatRemotely(
  server: RemoteServer,
  contextTokens: number,
  params: ChatParams,
  from: AttachmentSources,
  signal: AbortSignal,
  onEvent: (event: CompleteEvent) => void,
): Promise<Result<ChatAnswer, Failure>> {
  const started = performance.now();
  const { attached, leftOut } = await readAttachments(params.attachments, from);
  // Of attachments; what is longer is left out.
  let room = contextTokens * serverCharactersPerToken;
  const shown = attached.filter(({ text }) => {
    const fits = text.length <= room;
    if (fits) room -= text.length;
    return fits;
  });
  const { system, turns } = turnsOf(params.messages);
  const sections = shown.map(({ title, text }) => section(title, text));
  let firstTokenSeconds: number | undefined;
  try {
    const outcome = await server.chat(
      {
        messages: [
          { role: 'system', content: [system, ...sections].join('\n\n') },
          ...turns.flat(),
        ],
        tools: params.tools ?? [],
        maxTokens: params.maxTokens ?? chatDefaults.maxTokens,
        temperature: params.temperature ?? chatDefaults.temperature,
      },
      (text) => {
        firstTokenSeconds ??= (performance.now() - started) / 1000;
        onEvent({ kind: 'text', text });
        return false;
      },
      signal,
    );
    if (!outcome.ok) return outcome;
    const { text, toolCalls, finish, promptTokens = 0, reusedTokens = 0 } = outcome.value;
    const { generatedTokens = 0 } = outcome.value;
    const seconds = (performance.now() - started) / 1000;
    const writing = seconds - (firstTokenSeconds ?? seconds);
    const isShown = (uri: string): boolean => shown.some((one) => one.uri === uri);
    const noRoom = attached.filter(({ uri }) => !isShown(uri));
    return succeed({
      ...{ text, toolCalls, generatedTokens },
      finish: finish === 'length' ? 'length' : 'end',
      context: {
        ...{ promptTokens, reusedTokens, contextTokens, files: [], omittedMessages: 0 },
        attachments: shown.map(({ uri }) => ({
          ...{ uri, tokens: 0, documentTokens: 0, inCache: false },
        })),
        leftOut: [...noRoom.map(({ uri }) => ({ uri, reason: 'room' as const })), ...leftOut],
      },
      firstTokenSeconds: firstTokenSeconds ?? seconds,
      ...(generatedTokens > 1 && writing > 0
        ? { decodeTokensPerSecond: (generatedTokens - 1) / writing }
        : {}),
      tiers: [],
    });
  } catch (error) {
    return fail(failureOf(error));
  }
}
