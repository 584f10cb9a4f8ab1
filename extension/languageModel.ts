import {
  CancellationError,
  Disposable,
  EventEmitter,
  l10n,
  LanguageModelChatMessageRole,
  LanguageModelChatToolMode,
  LanguageModelError,
  LanguageModelTextPart,
  LanguageModelToolCallPart,
  LanguageModelToolResultPart,
  lm,
  type CancellationToken,
  type Event,
  type LanguageModelChatTool,
  type Progress,
} from 'vscode';
import type { ChatMessage, ModelInSight } from '../sidecar/protocol.ts';
import type { Answers } from './answers.ts';

const vendor = 'sightline';
/** Who asks for the models gets those that load within this time, in milliseconds; of others it hears when they are there. */
const patienceMs = 2000;
/** Of the context, the share that is kept free for an answer. */
const answerShare = 1 / 4;

/** What calls of tools begin with in an answer. */
const callMark = '<tool_call>';

/** What VS Code has from 1.104 on, as far as it is used here. */
interface Registry {
  registerLanguageModelChatProvider(vendor: string, provider: Provider): Disposable;
}

interface Information {
  readonly id: string;
  readonly name: string;
  readonly family: string;
  readonly version: string;
  readonly detail: string;
  readonly tooltip: string;
  readonly maxInputTokens: number;
  readonly maxOutputTokens: number;
  readonly capabilities: { readonly toolCalling: boolean; readonly imageInput: boolean };
}

/** A message as VS Code gives it; what else than the known parts is in it is not for this model. */
interface Message {
  readonly role: LanguageModelChatMessageRole;
  readonly content: readonly unknown[];
}

interface Options {
  readonly modelOptions?: Readonly<Record<string, unknown>>;
  readonly tools?: readonly LanguageModelChatTool[];
  readonly toolMode: LanguageModelChatToolMode;
}

type Part = LanguageModelTextPart | LanguageModelToolCallPart;

interface Provider {
  readonly onDidChangeLanguageModelChatInformation: Event<void>;
  provideLanguageModelChatInformation(
    options: unknown,
    token: CancellationToken,
  ): Promise<Information[]>;
  provideLanguageModelChatResponse(
    model: Information,
    messages: readonly Message[],
    options: Options,
    progress: Progress<Part>,
    token: CancellationToken,
  ): Promise<void>;
  provideTokenCount(
    model: Information,
    text: string | Message,
    token: CancellationToken,
  ): Promise<number>;
}

const isRegistry = (space: object): space is Registry =>
  'registerLanguageModelChatProvider' in space;

/**
 * Offers the loaded model to VS Code's own chat and to other extensions, where this VS Code takes models from extensions.
 * `onDidChange`: another one may be loaded, or none.
 */
export function registerLanguageModel(answers: Answers, onDidChange: Event<void>): Disposable {
  if (!isRegistry(lm)) return new Disposable(() => undefined);
  const changes = new EventEmitter<void>();
  let known: ModelInSight | null = null;
  let looking: Promise<void> | undefined;
  /** One look at a time: it waits for a model that loads. */
  const look = (): Promise<void> =>
    (looking ??= answers.model().then((model) => {
      looking = undefined;
      if (JSON.stringify(model) === JSON.stringify(known)) return;
      known = model;
      changes.fire();
      // A message to a chat that has not asked for models yet fails, so that one has to ask for it.
      void lm.selectChatModels({ vendor });
    }));
  return Disposable.from(
    changes,
    onDidChange(look),
    lm.registerLanguageModelChatProvider(vendor, {
      onDidChangeLanguageModelChatInformation: changes.event,
      provideLanguageModelChatInformation: async () => {
        const late = new Promise<void>((resolve) => setTimeout(resolve, patienceMs));
        if (known === null) await Promise.race([look(), late]);
        return known?.canChat === true ? [informationOf(known)] : [];
      },
      provideLanguageModelChatResponse: async (_model, messages, options, progress, token) => {
        await respond(answers, messages, options, progress, token);
      },
      provideTokenCount: async (_model, text, token) => {
        const texts =
          typeof text === 'string' ? [text] : messagesOf([text]).map(({ content }) => content);
        const counts = await answers.countTokens(texts, token);
        return counts.reduce((sum, count) => sum + count, 0);
      },
    }),
  );
}

function informationOf(model: ModelInSight): Information {
  const maxOutputTokens = Math.floor(model.contextTokens * answerShare);
  return {
    id: model.name,
    name: model.name,
    family: model.architecture,
    version: '1',
    detail: l10n.t('on this machine'),
    tooltip: l10n.t(
      '{0}, run by Sightline with a context of {1} tokens',
      model.name,
      model.contextTokens,
    ),
    maxInputTokens: model.contextTokens - maxOutputTokens,
    maxOutputTokens,
    capabilities: { toolCalling: model.canCallTools, imageInput: false },
  };
}

/** Answers as VS Code wants it: in parts as they come, and by an error where there is no answer. */
export async function respond(
  answers: Answers,
  messages: readonly Message[],
  options: Options,
  progress: Progress<Part>,
  token: CancellationToken,
): Promise<void> {
  const { modelOptions = {}, tools = [], toolMode } = options;
  const asked = messagesOf(messages);
  if (tools.length > 0 && toolMode === LanguageModelChatToolMode.Required) {
    asked.unshift({ role: 'system', content: 'Answer by calling one of the tools.' });
  }
  let text = '';
  let said = 0;
  const say = (until: number): void => {
    if (until > said) progress.report(new LanguageModelTextPart(text.slice(said, until)));
    said = Math.max(said, until);
  };
  const temperature = modelOptions['temperature'];
  const maxTokens = modelOptions['max_tokens'];
  const answered = await answers.ask(
    {
      messages: asked,
      attachments: [],
      ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
      ...(typeof temperature === 'number' ? { temperature } : {}),
      ...(typeof maxTokens === 'number' ? { maxTokens } : {}),
    },
    token,
    (news) => {
      if (news.kind !== 'text') return;
      text += news.text;
      say(tools.length === 0 ? text.length : beforeCalls(text));
    },
  );
  if (answered.kind === 'cancelled') throw new CancellationError();
  if (answered.kind === 'failed') throw new LanguageModelError(answered.message);
  if (answered.answer.toolCalls.length === 0) say(text.length);
  for (const { id, name, arguments: json } of answered.answer.toolCalls) {
    progress.report(new LanguageModelToolCallPart(id, name, inputOf(json)));
  }
}

/** How much of an answer comes before what is, or may become, a call of a tool. */
function beforeCalls(text: string): number {
  const at = text.indexOf(callMark);
  if (at !== -1) return at;
  let begun = Math.min(callMark.length - 1, text.length);
  while (!text.endsWith(callMark.slice(0, begun))) begun--;
  return text.length - begun;
}

const toolOf = ({ name, description, inputSchema }: LanguageModelChatTool) => ({
  name,
  description,
  ...(inputSchema === undefined ? {} : { parameters: inputSchema }),
});

/** What the tool is called with; what is no JSON object is for the tool to refuse. */
function inputOf(json: string): object {
  try {
    const input: unknown = JSON.parse(json);
    if (typeof input === 'object' && input !== null) return input;
  } catch {
    // Below.
  }
  return { arguments: json };
}

/** The results of tools are messages of their own to the model. */
function messagesOf(messages: readonly Message[]): ChatMessage[] {
  return messages.flatMap(({ role, content }) => {
    const results = content
      .filter((part) => part instanceof LanguageModelToolResultPart)
      .map(
        (part) =>
          ({ role: 'tool', content: textOf(part.content), toolCallId: part.callId }) as const,
      );
    const text = textOf(content);
    const toolCalls = content
      .filter((part) => part instanceof LanguageModelToolCallPart)
      .map(({ callId, name, input }) => ({ id: callId, name, arguments: JSON.stringify(input) }));
    if (text === '' && toolCalls.length === 0) return results;
    const own: ChatMessage = {
      role: roleOf(role),
      content: text,
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
    };
    return [...results, own];
  });
}

/** Instructions come in a role that is proposed, and has no name yet. */
const roleOf = (role: LanguageModelChatMessageRole): ChatMessage['role'] =>
  roles.get(role) ?? 'system';

const roles: ReadonlyMap<LanguageModelChatMessageRole, ChatMessage['role']> = new Map([
  [LanguageModelChatMessageRole.User, 'user'],
  [LanguageModelChatMessageRole.Assistant, 'assistant'],
]);

const textOf = (parts: readonly unknown[]): string =>
  parts
    .filter((part) => part instanceof LanguageModelTextPart)
    .map(({ value }) => value)
    .join('');
