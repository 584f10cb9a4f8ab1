import type { LoadedModel } from '../engine/engine.ts';
import { joinTokens } from '../engine/tokens.ts';
import type { FileSource } from '../protocol.ts';
import type { Part } from './arrange.ts';
import { fileHead } from './head.ts';

/** More characters than a token has on average in any text worth completing. */
export const charactersPerToken = 8;

/** Tokens by which the start of a document moves that does not fit. */
const step = 512;

/** A file as the editor has it open, or as it is on disk. */
export interface SourceFile {
  readonly uri: string;
  /** The file's name as the model is told it. */
  readonly name: string;
  readonly text: string;
}

/** A file for the stable part of prompts. */
export interface Candidate {
  readonly document: SourceFile;
  readonly source: FileSource;
  /** What is around it is kept of a file that is too large, in characters from its start. */
  readonly focus: number;
  /** Told only while it is the one in use. */
  readonly onlyInUse: boolean;
}

/** Characters of a document, `end` not included. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Whether a part still does for its document: what it shows is unchanged, but for what `shown` covers, the lines around
 * the cursor that every prompt has as they are.
 */
export function isSettled(part: Part, { text }: SourceFile, shown: TextRange | undefined): boolean {
  const changed = changedRange(part.text, text);
  if (changed === undefined || changed.start >= part.end) return true;
  return shown !== undefined && changed.start >= shown.start && changed.end <= shown.end;
}

/** The characters of `now` that are not as `before`; undefined: all are. */
export function changedRange(before: string, now: string): TextRange | undefined {
  if (before === now) return undefined;
  const shorter = Math.min(before.length, now.length);
  let start = 0;
  while (start < shorter && before.charCodeAt(start) === now.charCodeAt(start)) start++;
  let same = 0;
  while (
    same < shorter - start &&
    before.charCodeAt(before.length - 1 - same) === now.charCodeAt(now.length - 1 - same)
  )
    same++;
  return { start, end: now.length - same };
}

/**
 * A file as a part of at most `room` tokens: all of it, or what is around its focus, three quarters of it before, its start
 * moving in steps.
 */
export async function settle(
  { native, tokenizer }: LoadedModel,
  { document, source, focus }: Omit<Candidate, 'onlyInUse'>,
  room: number,
): Promise<Part> {
  const { uri, name, text } = document;
  const head = await fileHead(native.info, tokenizer, name);
  const left = Math.max(0, room - head.length);
  const reach = charactersPerToken * left;
  const first = text.length <= reach ? 0 : Math.max(0, focus - reach);
  const last = text.length <= reach ? text.length : Math.min(text.length, focus + reach);
  const looked = text.slice(first, last);
  const tokens = await tokenizer.tokenize(looked.replaceAll('\r\n', '\n'));
  const perCharacter = looked.length === 0 ? 0 : tokens.length / looked.length;
  const before = Math.round((focus - first) * perCharacter);
  const furthest = Math.max(0, tokens.length - left);
  const stride = Math.max(1, Math.min(step, Math.floor(left / 8)));
  const wanted = Math.min(Math.max(0, before - Math.floor((left * 3) / 4)), furthest);
  // At the document's end it moves no more.
  const start = wanted === furthest ? furthest : Math.floor(wanted / stride) * stride;
  const end = Math.min(tokens.length, start + left);
  const kept = await tokenizer.wholeCharacters(tokens.subarray(start, end), {
    start: start > 0,
    end: end < tokens.length,
  });
  const characters = (count: number): number =>
    perCharacter === 0 ? 0 : Math.round(count / perCharacter);
  return {
    uri,
    source,
    text,
    start: first + characters(start),
    end: end === tokens.length ? last : first + characters(end),
    tokens: joinTokens([head, kept]),
    headTokens: head.length,
    documentTokens: Math.round(text.length * perCharacter),
  };
}
