import { extname } from 'node:path';
import { startOf } from '../context/head.ts';
import type { StablePrefix } from '../context/stable.ts';
import type { LoadedModel } from '../engine/engine.ts';
import type { Failure } from '../engine/failure.ts';
import { joinTokens } from '../engine/tokens.ts';
import { fenced } from '../markdown.ts';
import type {
  AttachmentInSight,
  ChatContext,
  ChatMessage,
  ChatTool,
  FileLeftOut,
} from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import type { Attached } from './attachments.ts';
import { filesBefore } from './files.ts';
import { ChatTemplate, type Segment } from './template.ts';

export interface ChatPrompt {
  readonly tokens: Int32Array;
  /** Room for the answer. */
  readonly maxTokens: number;
  readonly context: Omit<ChatContext, 'reusedTokens'>;
}

export interface ChatPromptParts {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ChatTool[];
  readonly attached: readonly Attached[];
  readonly leftOut: readonly FileLeftOut[];
  /** The document in use and the files that completions see; absent: none come before the conversation. */
  readonly files?: { readonly stable: StablePrefix; readonly inUse: string };
  /** The most tokens of the answer. */
  readonly maxTokens: number;
}

/** The least that is left for an answer, if the context is long enough. */
const leastAnswer = 256;

const instructions =
  'You are a coding assistant in the user’s editor. Answer briefly and exactly. Put code into fenced blocks that name its language.';

/**
 * A conversation as tokens: files that completions see, from the cache that they share; what the system says, with the
 * attachments; then the messages. What must be there is the latest question; the rest is taken while there is room, in this
 * order: attachments, of which only the first may be cut; the latest messages, up to half of what is left where there are
 * files; the document in use; the other files. Fails with CONTEXT_FULL, or MODEL_UNSUPPORTED.
 */
export async function chatPrompt(
  model: LoadedModel,
  parts: ChatPromptParts,
): Promise<Result<ChatPrompt, Failure>> {
  const { info } = model.native;
  const template = ChatTemplate.of(info);
  if (!template.ok) return template;
  const start = startOf(info);
  const answer = Math.min(
    parts.maxTokens,
    Math.max(leastAnswer, Math.floor(info.contextTokens / 4)),
  );
  const room = info.contextTokens - answer - start.length;
  const { system, turns } = turnsOf(parts.messages);
  const conversation = new Conversation(model, template.value, parts.tools, system);

  const latest = turns.at(-1) ?? [];
  const least = await conversation.tokens([], latest);
  if (!least.ok) return least;
  if (least.value.length > room) {
    return fail({
      code: 'CONTEXT_FULL',
      message: `The question has ${least.value.length} tokens, and the context of ${info.contextTokens} has room for ${Math.max(0, room)} beside the answer. Ask with less text, or raise sightline.model.contextTokens.`,
    });
  }

  const held = parts.files?.stable;
  const chosen = await chooseAttachments(model, parts.attached, held, room - least.value.length);
  const sections = chosen.shown.map(({ title, text }) => section(title, text));
  const base = await conversation.tokens(sections, latest);
  if (!base.ok) return base;

  const left = room - base.value.length;
  const forHistory = held === undefined || held.tokens.length === 0 ? left : Math.floor(left / 2);
  let kept = turns.slice(-1);
  let said = base.value;
  for (let count = 2; count <= turns.length; count++) {
    const more = turns.slice(-count);
    const tokens = await conversation.tokens(sections, more.flat());
    if (!tokens.ok) return tokens;
    if (tokens.value.length - base.value.length > forHistory) break;
    kept = more;
    said = tokens.value;
  }

  const before =
    parts.files === undefined
      ? undefined
      : filesBefore(parts.files.stable, parts.files.inUse, room - said.length);
  const inFront = before?.files ?? [];
  const lost = chosen.inCache.filter(({ uri }) => !inFront.some((file) => file.uri === uri));
  const noRoom = [...(before?.noRoom ?? []), ...lost.map(({ uri }) => uri), ...chosen.noRoom];
  const tokens = joinTokens([
    before === undefined || before.tokens.length === 0 ? start : before.tokens,
    said,
  ]);
  return succeed({
    tokens,
    maxTokens: Math.min(parts.maxTokens, info.contextTokens - tokens.length),
    context: {
      promptTokens: tokens.length,
      contextTokens: info.contextTokens,
      files: inFront,
      attachments: [...chosen.shown, ...chosen.inCache.filter((one) => !lost.includes(one))].map(
        ({ uri, tokens, documentTokens, inCache }) => ({ uri, tokens, documentTokens, inCache }),
      ),
      leftOut: [
        ...[...new Set(noRoom)].map((uri) => ({ uri, reason: 'room' as const })),
        ...(held?.leftOut ?? []).filter(({ uri }) => !noRoom.includes(uri)),
        ...parts.leftOut,
      ],
      omittedMessages: turns.slice(0, turns.length - kept.length).flat().length,
    },
  });
}

/** What the system says, and the rest by what the user asked: each question with all that followed it. */
export function turnsOf(messages: readonly ChatMessage[]): {
  readonly system: string;
  readonly turns: readonly (readonly ChatMessage[])[];
} {
  const said = messages.filter(({ role }) => role === 'system').map(({ content }) => content);
  const turns: ChatMessage[][] = [];
  for (const message of messages) {
    if (message.role === 'system') continue;
    const turn = turns.at(-1);
    if (message.role === 'user' || turn === undefined) turns.push([message]);
    else turn.push(message);
  }
  return { system: said.length === 0 ? instructions : said.join('\n\n'), turns };
}

/** Tokens of a conversation: markers only where the template has them. */
export async function tokensOf(
  { native, tokenizer }: LoadedModel,
  segments: readonly Segment[],
  marked = (text: string): Promise<Int32Array> => native.tokenize(text, true),
): Promise<Int32Array> {
  const pieces: Int32Array[] = [];
  for (const { text, isContent } of segments)
    pieces.push(isContent ? await tokenizer.tokenize(text) : await marked(text));
  return joinTokens(pieces);
}

/** Turns messages into tokens; remembers those of the template's own texts. */
class Conversation {
  readonly #model: LoadedModel;
  readonly #template: ChatTemplate;
  readonly #tools: readonly ChatTool[];
  readonly #system: string;
  readonly #known = new Map<string, Int32Array>();

  constructor(
    model: LoadedModel,
    template: ChatTemplate,
    tools: readonly ChatTool[],
    system: string,
  ) {
    this.#model = model;
    this.#template = template;
    this.#tools = tools;
    this.#system = system;
  }

  async tokens(
    sections: readonly string[],
    messages: readonly ChatMessage[],
  ): Promise<Result<Int32Array, Failure>> {
    const content = [this.#system, ...sections].join('\n\n');
    const segments = this.#template.render([{ role: 'system', content }, ...messages], this.#tools);
    if (!segments.ok) return segments;
    return succeed(await tokensOf(this.#model, segments.value, (text) => this.#marked(text)));
  }

  async #marked(text: string): Promise<Int32Array> {
    const tokens = this.#known.get(text) ?? (await this.#model.native.tokenize(text, true));
    this.#known.set(text, tokens);
    return tokens;
  }
}

interface Shown extends AttachmentInSight {
  readonly title: string;
  readonly text: string;
}

/** What of the attachments is shown in so many tokens, and which are among the files that completions see anyway. */
async function chooseAttachments(
  { tokenizer }: LoadedModel,
  attached: readonly Attached[],
  held: StablePrefix | undefined,
  room: number,
): Promise<{
  readonly shown: readonly Shown[];
  readonly inCache: readonly AttachmentInSight[];
  readonly noRoom: readonly string[];
}> {
  const shown: Shown[] = [];
  const inCache: AttachmentInSight[] = [];
  const noRoom: string[] = [];
  let left = room;
  for (const { uri, title, text, whole, isWhole } of attached) {
    const file = held?.files.find((one) => one.uri === uri);
    if (isWhole && file !== undefined && file.tokens >= file.documentTokens) {
      const { tokens, documentTokens } = file;
      inCache.push({ uri, tokens, documentTokens, inCache: true });
      continue;
    }
    const length = async (of: string): Promise<number> => (await tokenizer.tokenize(of)).length;
    const cost = await length(section(title, text));
    const documentTokens = await length(whole);
    if (cost <= left) {
      shown.push({ uri, title, text, tokens: cost, documentTokens, inCache: false });
      left -= cost;
      continue;
    }
    const cut = shown.length === 0 ? await firstLines(length, title, text, left) : '';
    if (cut === '') {
      noRoom.push(uri);
      continue;
    }
    const tokens = await length(section(title, cut));
    shown.push({ uri, title, text: cut, tokens, documentTokens, inCache: false });
    left -= tokens;
  }
  return { shown, inCache, noRoom };
}

/** As many whole lines from the start of a text as fit, and nothing where not even one does. */
async function firstLines(
  length: (text: string) => Promise<number>,
  title: string,
  text: string,
  room: number,
): Promise<string> {
  const lines = text.split('\n');
  let [fits, tooMany] = [0, lines.length];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    const cost = await length(section(title, lines.slice(0, middle).join('\n')));
    if (cost <= room) fits = middle;
    else tooMany = middle;
  }
  return lines.slice(0, fits).join('\n');
}

/** An attachment as the model is told it. */
export const section = (title: string, text: string): string =>
  `${title}:\n${fenced(text, extname(title).slice(1).replace(/\W.*$/, ''))}`;
