import { randomInt } from 'node:crypto';
import type { ModelInfo, Sampling } from '../engine/addon.ts';
import type { LoadedModel } from '../engine/engine.ts';
import type { Line } from '../engine/line.ts';
import type { Turns } from '../engine/turns.ts';
import type { ToolCall } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import type { ApiError } from './apiError.ts';

/** What requests share: the model, and whose turn it is. */
export interface Shared {
  readonly model: LoadedModel;
  readonly turns: Turns;
  /** Completions are written one after the other, and so are answers. */
  readonly completions: Line;
  readonly chats: Line;
}

/** What was written for a request. */
export interface Written {
  /** All that was told of the text. */
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finish: 'stop' | 'length' | 'tool_calls';
  readonly promptTokens: number;
  /** Of these, what was in the cache. */
  readonly cachedTokens: number;
  readonly generatedTokens: number;
}

/**
 * Writes what a request that was understood asks for. Rejects as the engine does, or with the reason of `signal`. `onText`:
 * text as it comes.
 */
export type Work = (signal: AbortSignal, onText: (text: string) => void) => Promise<Written>;

/** Tokens that a prompt leaves for what is written. */
export function roomBehind(
  prompt: Int32Array,
  { contextTokens }: ModelInfo,
  param: string,
): Result<number, ApiError> {
  const room = contextTokens - prompt.length;
  if (prompt.length === 0) {
    return fail({ status: 400, message: `${param} must not be empty.`, param });
  }
  if (room > 0) return succeed(room);
  return fail({
    ...{ status: 400, param, code: 'context_length_exceeded' },
    message: `${param} has ${prompt.length} tokens, and the context of ${contextTokens} has to hold them and what is written. Send less, or start the server with a longer --context.`,
  });
}

/** How many tokens are written at most; -1: as many as there is room for. */
export const mostTokens = (asked: number, room: number): number =>
  asked === -1 ? room : Math.min(asked, room);

/** As for completions and conversations in an editor, where a request says nothing else. */
export const samplingOf = (
  asked: {
    readonly temperature?: number | null | undefined;
    readonly top_p?: number | null | undefined;
    readonly seed?: number | null | undefined;
  },
  temperature: number,
): Sampling => ({
  temperature: asked.temperature ?? temperature,
  topK: 40,
  topP: asked.top_p ?? 0.95,
  minP: 0.05,
  seed: asked.seed === null || asked.seed === undefined ? randomInt(seeds) : seedOf(asked.seed),
});

const seeds = 2 ** 31;

const seedOf = (asked: number): number => Math.abs(asked) % seeds;
