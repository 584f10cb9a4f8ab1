/** What the chat's page and the extension host say to each other. */
import { z } from 'zod';
import type { Answer, Conversation, Turn } from './conversation.ts';

export type { Answer, AnswerFacts, Attachment, Turn } from './conversation.ts';

/** More than any person writes or any model answers: what comes from a page is bounded. */
const text = z.string().max(2_000_000);
const id = z.string().max(100);

export const fromPage = z.discriminatedUnion('kind', [
  /** The page has drawn its frame and listens. */
  z.strictObject({ kind: z.literal('ready') }),
  /** A question, in place of the one that is edited, where one is. */
  z.strictObject({ kind: z.literal('send'), question: text }),
  z.strictObject({ kind: z.literal('stop') }),
  /** Answers a question again. */
  z.strictObject({ kind: z.literal('regenerate'), turn: id }),
  z.strictObject({ kind: z.literal('edit'), turn: id }),
  z.strictObject({ kind: z.literal('cancelEdit') }),
  /** Brings back what editing or answering again took away. */
  z.strictObject({ kind: z.literal('undo') }),
  z.strictObject({ kind: z.literal('copy'), code: text }),
  z.strictObject({ kind: z.literal('insert'), code: text }),
  z.strictObject({ kind: z.literal('apply'), code: text, info: text, turn: id }),
  /** Asks for the files that are named like this. */
  z.strictObject({ kind: z.literal('find'), query: z.string().max(500) }),
  z.strictObject({ kind: z.literal('attach'), what: z.enum(['file', 'selection', 'folder']) }),
  /** One of those that were found. */
  z.strictObject({ kind: z.literal('attachPath'), path: z.string().max(5000) }),
  z.strictObject({ kind: z.literal('detach'), key: text }),
  z.strictObject({ kind: z.literal('useDocument'), on: z.boolean() }),
  /** Shows an attachment in an editor. */
  z.strictObject({ kind: z.literal('open'), key: text }),
  z.strictObject({ kind: z.literal('settings') }),
  z.strictObject({ kind: z.literal('restart') }),
]);

/** Something that a question is about, as it is drawn. */
export interface Chip {
  readonly key: string;
  readonly kind: 'file' | 'selection' | 'folder';
  readonly uri: string;
  /** A file's name, with its lines. */
  readonly name: string;
  /** Where it is. */
  readonly path: string;
  /** What it costs; absent while it is counted, or where no model is loaded. */
  readonly tokens?: number;
  /** Of a folder: files that go in, of how many. */
  readonly files?: { readonly taken: number; readonly all: number };
  /** Why it is not in sight. */
  readonly problem?: string;
}

/** What the next question has with it. */
export interface Draft {
  readonly chips: readonly Chip[];
  readonly document?: { readonly name: string; readonly path: string; readonly on: boolean };
  /** The turn whose question is edited. */
  readonly editing?: string;
  readonly contextTokens?: number;
}

/** Why nothing can be asked. */
export type Obstacle = 'none' | 'loading' | 'noModel' | 'noTemplate';

/** A file or folder that was found, by its path in the workspace. */
export interface FoundPath {
  readonly path: string;
  readonly kind: 'file' | 'folder';
  /** What it is called in a question. */
  readonly mention: string;
}

/** A turn, and what its attachments are called. */
export type PageTurn = Turn & { readonly chips: readonly Chip[] };

export interface ChatMessages {
  readonly fromPage: z.infer<typeof fromPage>;
  readonly toPage:
    | {
        readonly kind: 'conversation';
        readonly id: Conversation['id'];
        readonly title: string;
        readonly turns: readonly PageTurn[];
        readonly canUndo: boolean;
      }
    | { readonly kind: 'draft'; readonly draft: Draft }
    /** Put into the input, in place of what is there. */
    | { readonly kind: 'question'; readonly question: string }
    | { readonly kind: 'obstacle'; readonly obstacle: Obstacle; readonly model: string }
    | {
        readonly kind: 'prefill';
        readonly turn: string;
        readonly done: number;
        readonly total: number;
      }
    /** What an answer goes on with. */
    | { readonly kind: 'text'; readonly turn: string; readonly text: string }
    | { readonly kind: 'answer'; readonly turn: string; readonly answer: Answer }
    | { readonly kind: 'found'; readonly query: string; readonly paths: readonly FoundPath[] }
    /** Something that was done, in a word. */
    | { readonly kind: 'said'; readonly what: 'copied' | 'inserted' }
    | { readonly kind: 'focus' };
}
