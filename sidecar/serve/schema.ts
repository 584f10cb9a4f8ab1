import { z } from 'zod';
import type { ChatMessage, ChatTool } from '../protocol.ts';

/** The bodies of requests. What clients send besides is ignored, but for what would change the answer. */

// Every message goes on after "must be".

const text = z.string('a text');
const flag = z.boolean('true or false');
const object = 'an object';

const number = (least: number, most: number) => {
  const message = `a number from ${least} to ${most}`;
  return z.number(message).min(least, message).max(most, message);
};

/** Clients of llama-server send -1. */
const tokens = (least: number) => {
  const message = `a whole number of at least ${least}, or -1 for as many as there is room for`;
  return z
    .int(message)
    .refine((count) => count === -1 || count >= least, message)
    .nullish();
};

const stop = text.min(1, 'a text that is not empty');
const stops = 'a text, or a list of at most 64 texts';

/** Only as it is by default: another value asks for what there is not. */
const only = <const T extends boolean | number>(value: T) =>
  z.literal(value, `${String(value)}, or left out: nothing else is supported`).nullish();

const common = {
  model: text.nullish(),
  temperature: number(0, 2).nullish(),
  top_p: number(0, 1).nullish(),
  seed: z.int('a whole number').nullish(),
  stop: z
    .union([stop.transform((one) => [one]), z.array(stop).max(64)], stops)
    .nullish()
    .transform((given) => given ?? []),
  stream: flag.nullish(),
  stream_options: z.object({ include_usage: flag.nullish() }, object).nullish(),
  n: only(1),
  presence_penalty: only(0),
  frequency_penalty: only(0),
  logit_bias: z.strictObject({}, 'empty, or left out: nothing else is supported').nullish(),
};

const prompt = 'a text, or a list of one text';

export const completionBody = z.object(
  {
    ...common,
    prompt: z.union([text, z.tuple([text]).transform(([one]) => one)], prompt),
    suffix: text.nullish(),
    max_tokens: tokens(0),
    best_of: only(1),
    echo: only(false),
    logprobs: only(0),
  },
  'a JSON object',
);

export type CompletionBody = z.infer<typeof completionBody>;

/** Of parts only text can be read. */
const content = z.union(
  [
    text,
    z
      .array(z.object({ type: z.literal('text'), text }))
      .transform((parts) => parts.map((part) => part.text).join('')),
  ],
  'a text, or a list of parts of type "text"',
);

const toolCall = z
  .object({
    id: text,
    function: z.object({ name: text, arguments: text }, object),
  })
  .transform(({ id, function: { name, arguments: given } }) => ({ id, name, arguments: given }));

const message = z.discriminatedUnion(
  'role',
  [
    z.object({ role: z.literal('system'), content }),
    // What newer models call the system.
    z.object({ role: z.literal('developer'), content }).transform((said) => ({
      ...said,
      role: 'system' as const,
    })),
    z.object({ role: z.literal('user'), content }),
    z
      .object({
        role: z.literal('assistant'),
        content: content.nullish(),
        tool_calls: z.array(toolCall, 'a list of calls').nullish(),
      })
      .transform(({ role, content: said, tool_calls: toolCalls }) => ({
        role,
        content: said ?? '',
        ...(toolCalls === null || toolCalls === undefined ? {} : { toolCalls }),
      })),
    z
      .object({ role: z.literal('tool'), content, tool_call_id: text })
      .transform(({ role, content: said, tool_call_id: toolCallId }) => ({
        role,
        content: said,
        toolCallId,
      })),
  ],
  'a message with the role "system", "developer", "user", "assistant" or "tool"',
) satisfies z.ZodType<ChatMessage>;

const tool = z
  .object(
    {
      type: z.literal('function', '"function"'),
      function: z.object(
        {
          name: text,
          description: text.default(''),
          parameters: z.record(z.string(), z.unknown(), object).exactOptional(),
        },
        object,
      ),
    },
    object,
  )
  .transform((given) => given.function) satisfies z.ZodType<ChatTool>;

const messages = 'a list of messages';
const toolChoice = z.enum(['auto', 'none'], '"auto" or "none": no call can be demanded');

export const chatBody = z.object(
  {
    ...common,
    messages: z.array(message, messages).min(1, `${messages}, at least one`),
    max_tokens: tokens(1),
    max_completion_tokens: tokens(1),
    tools: z
      .array(tool, 'a list of tools')
      .nullish()
      .transform((given) => given ?? []),
    tool_choice: toolChoice.nullish(),
    logprobs: only(false),
    response_format: z
      .object({ type: z.literal('text', '"text": nothing else is supported') }, object)
      .nullish(),
  },
  'a JSON object',
);

export type ChatBody = z.infer<typeof chatBody>;

/** What both have. */
export type CommonBody = Pick<CompletionBody & ChatBody, keyof typeof common>;
