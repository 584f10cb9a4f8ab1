import type { StablePrefix } from '../context/stable.ts';
import { joinTokens } from '../engine/tokens.ts';
import type { FileInSight } from '../protocol.ts';

/** Tokens by which the end of a file moves that does not fit. */
const step = 512;

/** Files of the stable part that a conversation comes after. */
export interface FilesBefore {
  /** Starts as the stable part does, as far as its files are the same. */
  readonly tokens: Int32Array;
  readonly files: readonly FileInSight[];
  /** Those for which there was no room. */
  readonly noRoom: readonly string[];
}

/**
 * As much of the stable part as fits into `room` tokens: all of it, or the document in use, as far as it fits, after the first
 * of the others, which stay where the cache has them.
 */
export function filesBefore(
  { tokens, files, ends }: StablePrefix,
  inUse: string,
  room: number,
): FilesBefore {
  if (tokens.length <= room) return { tokens, files, noRoom: [] };
  const startOf = (index: number): number => (index === 0 ? 0 : (ends[index - 1] ?? 0));
  const own = files.findIndex(({ uri }) => uri === inUse);
  const ownTokens = own < 0 ? 0 : (ends[own] ?? 0) - startOf(own);
  const forOthers = Math.max(0, room - ownTokens);
  let count = ends.findIndex((end, index) => index === own || end > forOthers);
  if (count < 0) count = files.length;
  const kept = tokens.subarray(0, startOf(count));
  const others = files.slice(0, count);
  const left = room - kept.length;
  const ownFile = files[own];
  if (ownFile === undefined || left <= 0)
    return { tokens: kept, files: others, noRoom: files.slice(count).map(({ uri }) => uri) };
  // In steps, so that most questions of a conversation come behind the same tokens.
  const cut = left < step ? left : left - (left % step);
  const shown = tokens.subarray(startOf(own), startOf(own) + Math.min(ownTokens, cut));
  const seen = Math.max(0, ownFile.tokens - (ownTokens - shown.length));
  return {
    tokens: joinTokens([kept, shown]),
    files: [...others, { ...ownFile, tokens: seen }],
    noRoom: files.filter((_, index) => index >= count && index !== own).map(({ uri }) => uri),
  };
}
