/** Conversations, as they are kept and as the model is told them. */
import { z } from 'zod';
import type { ChatAnswer, ChatMessage, FileLeftOut, FileSource } from '../../sidecar/protocol.ts';

const count = z.number().nonnegative();
const lines = z.strictObject({ first: z.int().nonnegative(), last: z.int().nonnegative() });

/** What a question is about besides the document in use. */
const attachment = z.strictObject({
  kind: z.enum(['file', 'selection', 'folder']),
  uri: z.string().min(1),
  /** Of a selection: from 0, inclusive. */
  lines: lines.optional(),
});

const leftOut = z.object({
  uri: z.string(),
  reason: z.enum([
    ...['room', 'duplicate', 'ignored', 'secret', 'binary', 'size', 'missing', 'outside'],
  ] as FileLeftOut['reason'][]),
});

/** What is told of an answer besides its text. */
const facts = z.object({
  generatedTokens: count,
  firstTokenSeconds: count,
  prefillTokensPerSecond: count.optional(),
  decodeTokensPerSecond: count.optional(),
  tiers: z.array(z.object({ name: z.string(), tokens: count, bytes: count })),
  context: z.object({
    promptTokens: count,
    reusedTokens: count,
    contextTokens: count,
    files: z.array(
      z.object({
        uri: z.string(),
        source: z.enum(['open', 'pinned', 'definition', 'import'] satisfies FileSource[]),
        tokens: count,
        documentTokens: count,
      }),
    ),
    attachments: z.array(
      z.object({
        uri: z.string(),
        tokens: count,
        documentTokens: count,
        inCache: z.boolean(),
      }),
    ),
    leftOut: z.array(leftOut),
    omittedMessages: count,
  }),
});

/** running: as it is written; on disk, that the window was closed meanwhile. */
const answer = z.strictObject({
  text: z.string(),
  state: z.enum(['running', 'end', 'length', 'context', 'stopped', 'failed']),
  /** Why it failed, and what to do. */
  message: z.string().optional(),
  facts: facts.optional(),
});

const turn = z.strictObject({
  id: z.uuid(),
  question: z.string(),
  attachments: z.array(attachment),
  /** The document in use, where it is to be seen. */
  document: z.string().optional(),
  /** What of the question could not be found. */
  notes: z.array(z.string()),
  answer: answer.optional(),
});

export const conversation = z.strictObject({
  version: z.literal(1),
  id: z.uuid(),
  /** As the user named it; empty: by its first question. */
  name: z.string(),
  /** Milliseconds since 1970. */
  changed: count,
  turns: z.array(turn),
});

export type Attachment = z.infer<typeof attachment>;
export type AnswerFacts = z.infer<typeof facts>;
export type Answer = z.infer<typeof answer>;
export type Turn = z.infer<typeof turn>;
export type Conversation = z.infer<typeof conversation>;

/** The longest title. */
const mostTitle = 60;

export function newConversation(): Conversation {
  return { version: 1, id: crypto.randomUUID(), name: '', changed: Date.now(), turns: [] };
}

/** A conversation's name, or the first line of its first question; empty before it has any. */
export function titleOf({ name, turns }: Conversation): string {
  if (name !== '') return name;
  const [line = ''] = (turns[0]?.question ?? '').trim().split('\n');
  return line.length > mostTitle ? `${line.slice(0, mostTitle - 1).trimEnd()}…` : line;
}

/** Keeps what the protocol says of an answer in the form that it is stored in. */
export function factsOf(told: ChatAnswer): AnswerFacts {
  return facts.parse(told);
}

const system =
  'You are a programming assistant inside a code editor. Files that the question is about may come before it. ' +
  'Answer in Markdown and briefly. Put code into fenced blocks that name their language. Say so if you do not know.';

/** What the model is told: questions that got no answer are left out but for the last, which is to be answered. */
export function messagesOf(turns: readonly Turn[]): ChatMessage[] {
  const last = turns.at(-1);
  if (last === undefined) return [];
  const before = turns.slice(0, -1).flatMap(({ question, answer: given }): ChatMessage[] =>
    given === undefined || given.text.trim() === ''
      ? []
      : [
          { role: 'user', content: question },
          { role: 'assistant', content: given.text },
        ],
  );
  return [{ role: 'system', content: system }, ...before, { role: 'user', content: last.question }];
}

/** What a conversation is about by now, the latest first, each once. */
export function attachmentsOf(turns: readonly Turn[]): Attachment[] {
  const all = [...turns].reverse().flatMap(({ attachments }) => attachments);
  return [...new Map(all.reverse().map((one) => [keyOf(one), one])).values()].reverse();
}

/** The same for attachments that are the same. */
export const keyOf = ({ kind, uri, lines: part }: Attachment): string =>
  JSON.stringify([kind, uri, part?.first, part?.last]);
