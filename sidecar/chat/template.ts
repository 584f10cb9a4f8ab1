import { Template } from '@huggingface/jinja';
import type { ModelInfo } from '../engine/addon.ts';
import type { Failure } from '../engine/failure.ts';
import type { ChatMessage, ChatTool, ToolCall } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';

/** A piece of a conversation as the model is shown it. */
export interface Segment {
  readonly text: string;
  /** What somebody wrote: markers in it are text. */
  readonly isContent: boolean;
}

/** Around the number of a message, in place of its content while the template is filled in. */
const [open, close] = ['\uE000', '\uE001'];

/** How a model is shown conversations, by the template in its GGUF. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #info: ModelInfo;
  /** Whether it has a place for tools. */
  readonly takesTools: boolean;
  /** Whether it has a place for a system's message. */
  readonly #takesSystem: boolean;

  private constructor(template: Template, source: string, info: ModelInfo) {
    this.#template = template;
    this.#info = info;
    this.takesTools = /\btools\b/.test(source);
    this.#takesSystem = this.#showsSystem();
  }

  /** Fails with MODEL_UNSUPPORTED where the model has none, or one that cannot be understood. */
  static of(info: ModelInfo): Result<ChatTemplate, Failure> {
    if (info.chatTemplate === undefined) {
      return fail({
        code: 'MODEL_UNSUPPORTED',
        message: `${info.name} has no template for conversations. Choose a model that was tuned for them (their names often end in "Instruct") in sightline.model.path.`,
      });
    }
    try {
      return succeed(new ChatTemplate(new Template(info.chatTemplate), info.chatTemplate, info));
    } catch (error) {
      return fail(broken(info, error));
    }
  }

  /** The conversation up to where the answer begins. */
  render(
    messages: readonly ChatMessage[],
    tools: readonly ChatTool[],
  ): Result<readonly Segment[], Failure> {
    const told = this.#takesSystem ? messages : withoutSystem(messages);
    try {
      return succeed(split(this.#fill(told, tools), told));
    } catch (error) {
      return fail(broken(this.#info, error));
    }
  }

  #fill(messages: readonly ChatMessage[], tools: readonly ChatTool[]): string {
    return this.#template.render({
      messages: messages.map((message, index) => ({
        role: message.role,
        content: `${open}${index}${close}`,
        ...(message.toolCalls === undefined
          ? {}
          : { tool_calls: message.toolCalls.map(callForTemplate) }),
        ...(message.toolCallId === undefined ? {} : { tool_call_id: message.toolCallId }),
      })),
      ...(tools.length === 0 ? {} : { tools: tools.map(toolForTemplate) }),
      add_generation_prompt: true,
      // Prompts start with it already, where the model wants it.
      bos_token: '',
      eos_token: this.#info.eosText,
    });
  }

  #showsSystem(): boolean {
    try {
      const messages = [
        { role: 'system', content: '' },
        { role: 'user', content: '' },
      ] as const;
      return this.#fill(messages, []).includes(`${open}0${close}`);
    } catch {
      return false;
    }
  }
}

const broken = ({ name }: ModelInfo, error: unknown): Failure => ({
  code: 'MODEL_UNSUPPORTED',
  message: `The template for conversations of ${name} cannot be used (${error instanceof Error ? error.message : String(error)}). Choose another model in sightline.model.path.`,
});

/** What the system has to say goes before the user's first message. */
function withoutSystem(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const said = messages.filter(({ role }) => role === 'system').map(({ content }) => content);
  const others = messages.filter(({ role }) => role !== 'system');
  const first = others.findIndex(({ role }) => role === 'user');
  return others.map((message, index) =>
    index === first ? { ...message, content: [...said, message.content].join('\n\n') } : message,
  );
}

/** Puts the contents in the places that the template has them. */
function split(text: string, messages: readonly ChatMessage[]): Segment[] {
  const segments: Segment[] = [];
  const add = (piece: string, isContent: boolean): void => {
    if (piece !== '') segments.push({ text: piece, isContent });
  };
  for (const [index, piece] of text.split(new RegExp(`${open}(\\d+)${close}`)).entries()) {
    if (index % 2 === 0) add(piece, false);
    else add(messages[Number(piece)]?.content ?? '', true);
  }
  return segments;
}

const toolForTemplate = ({ name, description, parameters }: ChatTool): object => ({
  type: 'function',
  function: harmless({
    ...{ name, description },
    parameters: parameters ?? { type: 'object', properties: {} },
  }),
});

const callForTemplate = ({ id, name, arguments: written }: ToolCall): object => ({
  id,
  type: 'function',
  function: harmless({ name, arguments: parsed(written) }),
});

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

/** Without texts that could be taken for the model's markers: templates write tools in between their own. */
const harmless = (value: object): unknown =>
  JSON.parse(JSON.stringify(value).replaceAll('<|', '< |').replaceAll('|>', '| >'));
