/** Places in files from which something was taken, for the model to write it anew. */
import { basename } from 'node:path';
import { complete, type Completion } from '../completion/complete.ts';
import { settle } from '../context/settle.ts';
import { repositoryHead } from '../context/head.ts';
import { StableContext, type StablePrefix } from '../context/stable.ts';
import type { LoadedModel } from '../engine/engine.ts';
import type { Failure } from '../engine/failure.ts';
import type { Result } from '../result.ts';
import { indentationOf } from '../syntax/lines.ts';
import type { Grammars } from '../syntax/parser.ts';
import { repositoryOf, type CorpusFile } from './corpus.ts';
import { shuffled } from './random.ts';

export type HoleKind = 'line' | 'block' | 'function';
export const holeKinds: readonly HoleKind[] = ['line', 'block', 'function'];

export interface Hole {
  readonly file: CorpusFile;
  readonly kind: HoleKind;
  readonly before: string;
  readonly missing: string;
  readonly after: string;
  /** It has a name that the file has only far before it. */
  readonly needsFar: boolean;
}

/** Characters that a context of 1 024 tokens holds before the cursor, and more. */
const nearCharacters = 4000;

/** Holes of a kind in one file. */
const mostRounds = 3;

/** Tokens around the cursor that are not in the cache before, and tokens that are written at most. */
export const liveTokens = 512;
export const maxTokens = 96;

/** The first `count` holes of a kind, always the same ones for a stream; a file has a second one once all others have one. */
export function holesOf(
  files: readonly CorpusFile[],
  kind: HoleKind,
  count: number,
  next: () => number,
): Hole[] {
  const holes: Hole[] = [];
  const inOrder = shuffled(files, next);
  for (let round = 0; round < mostRounds; round++) {
    for (const file of inOrder) {
      if (holes.length === count) return holes;
      const hole = dig(file, kind, next);
      if (hole !== undefined) holes.push(hole);
    }
  }
  return holes;
}

/** Puts files into the cache that sequence 0 has, the most important first, as the product does with those that are open. */
export async function putInSight(
  model: LoadedModel,
  files: readonly CorpusFile[],
  focus: number,
  signal: AbortSignal,
): Promise<StablePrefix> {
  const room = Math.max(0, model.native.info.contextTokens - liveTokens - maxTokens - 64);
  const context = new StableContext(model, room);
  const [first] = files;
  if (first === undefined) return context.prefix;
  const repository = repositoryOf(first);
  context.setHead(await repositoryHead(model.native.info, model.tokenizer, repository));
  const settled = await Promise.all(
    files.map(({ name, text }) => {
      const document = { uri: name, name: basename(name), text };
      return settle(model, { document, source: 'open', focus }, room);
    }),
  );
  await context.fill(settled, [], signal);
  return context.prefix;
}

/** What the product offers in a hole, with the whole file in the cache. */
export async function completeHole(
  model: LoadedModel,
  { file, before, after }: Hole,
  grammars: Grammars,
  signal: AbortSignal,
): Promise<Result<Completion, Failure>> {
  const text = before + after;
  const request = {
    uri: file.name,
    name: basename(file.name),
    text,
    offset: before.length,
    maxTokens,
    liveTokens,
    stable: await putInSight(model, [{ ...file, text }], before.length, signal),
    grammars,
  };
  return complete(model, request, signal);
}

const isCode = (line: string): boolean => /^\s*[\w$'"{[(.]/.test(line) && line.trim().length >= 12;

/** Looks for a place in the last two thirds of a file. */
function dig(file: CorpusFile, kind: HoleKind, next: () => number): Hole | undefined {
  const lines = file.text.split('\n');
  for (let attempt = 0; attempt < 40; attempt++) {
    const at = Math.floor(lines.length * (1 / 3 + (2 / 3) * next()));
    const line = lines[at] ?? '';
    if (!isCode(line)) continue;
    const end = endOf(lines, at, kind);
    if (end === undefined) continue;
    // A line is cut where a word starts; the others start with a line of their own.
    const words = [...line.matchAll(/\b[A-Za-z_$][\w$]*/g)].map(({ index }) => index);
    const cut =
      kind === 'line'
        ? (words[Math.floor(words.length * next())] ?? indentationOf(line))
        : indentationOf(line);
    const head = [...lines.slice(0, at), line.slice(0, cut)].join('\n');
    const missing = [line.slice(cut), ...lines.slice(at + 1, end)].join('\n');
    const after = ['', ...lines.slice(end)].join('\n');
    if (missing.trim().length < 6) continue;
    return { file, kind, before: head, missing, after, needsFar: needsFar(head, missing) };
  }
  return undefined;
}

/** The line behind the hole that starts at line `at`. */
function endOf(lines: readonly string[], at: number, kind: HoleKind): number | undefined {
  if (kind === 'line') return at + 1;
  const indentation = indentationOf(lines[at] ?? '');
  if (kind === 'block') {
    const end = at + 3;
    return lines
      .slice(at, end)
      .every((line) => line.trim() !== '' && indentationOf(line) >= indentation)
      ? end
      : undefined;
  }
  if (!/\)\s*\{$|=>\s*\{$/.test(lines[at] ?? '')) return undefined;
  const close = lines.findIndex(
    (line, index) => index > at && line.trim() !== '' && indentationOf(line) <= indentation,
  );
  return close > at + 2 && close <= at + 12 ? close + 1 : undefined;
}

/** Whether a name of at least five letters is in the file before the hole, and nowhere near it. */
function needsFar(before: string, missing: string): boolean {
  const near = before.slice(-nearCharacters);
  const far = before.slice(0, -nearCharacters);
  return [...missing.matchAll(/[A-Za-z_$][\w$]{4,}/g)].some(
    ([name]) => far.includes(name) && !near.includes(name),
  );
}
