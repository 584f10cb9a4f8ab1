import { z } from 'zod';
import type { ChatParams } from '../protocol.ts';

const toolCall = z.object({ id: z.string(), name: z.string(), arguments: z.string() });

const message = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string(),
  toolCalls: z.array(toolCall).exactOptional(),
  toolCallId: z.string().exactOptional(),
});

const line = z.int().min(0);

const schema: z.ZodType<ChatParams> = z.object({
  id: z.string(),
  messages: z.array(message).min(1),
  attachments: z.array(
    z.object({ uri: z.string(), lines: z.object({ first: line, last: line }).exactOptional() }),
  ),
  uri: z.string().exactOptional(),
  quoted: z.string().exactOptional(),
  tools: z
    .array(
      z.object({
        name: z.string(),
        description: z.string(),
        parameters: z.record(z.string(), z.unknown()).exactOptional(),
      }),
    )
    .exactOptional(),
  maxTokens: z.int().min(1).exactOptional(),
  temperature: z.number().min(0).max(2).exactOptional(),
});

/** What arrives is only said to be of its type. */
export const parseChatParams = (input: unknown): z.ZodSafeParseResult<ChatParams> =>
  schema.safeParse(input);
