/** Places in real files from which something was taken, for a model to write it anew. */
import fs from 'node:fs';
import path from 'node:path';
import { indentationOf } from '../sidecar/syntax/lines.ts';
import { uniformStream } from '../test/fixtures/models/weights.ts';

export type HoleKind = 'line' | 'block' | 'function';
export const holeKinds: readonly HoleKind[] = ['line', 'block', 'function'];

export interface Hole {
  readonly file: string;
  readonly kind: HoleKind;
  readonly before: string;
  readonly missing: string;
  readonly after: string;
  /** It has a name that the file has only far before it. */
  readonly needsFar: boolean;
}

/** Packages that package-lock.json pins, with files in the style of an editor's user, by their names. */
const packages = [
  ['undici', 'lib'],
  ['mocha', 'lib'],
  ['typed-rest-client', ''],
  ['vscode-languageserver', 'lib/common'],
  ['vscode-languageclient', 'lib/common'],
  // The version that has sources of several files.
  ['markdown-it', 'lib', '@vscode/vsce/node_modules'],
  ['commander', 'lib', '@vscode/vsce/node_modules'],
  ['workerpool', 'src'],
  ['jsonc-parser', 'lib/esm'],
  ['eslint', 'lib/rules'],
] as const;

/** Characters of a file: its tokens fill more than a short context, and less than the bundled model's. */
const smallest = 9000;
const largest = 15_000;

/** Characters that a context of 1 024 tokens holds before the cursor, and more. */
const nearCharacters = 4000;

/** Holes of a kind in one file. */
const mostRounds = 3;

const root = path.resolve(import.meta.dirname, '../node_modules');

/** By package: all that is in a hole's package but its own file may be shown beside it. */
export function corpusFiles(): string[] {
  const files: { readonly name: string; readonly file: string }[] = [];
  const walk = (at: string, folder: string): void => {
    for (const entry of fs.readdirSync(path.join(at, folder), { withFileTypes: true })) {
      const name = path.join(folder, entry.name);
      if (entry.isDirectory() && entry.name !== 'node_modules') walk(at, name);
      else if (/(?<!\.d|\.min)\.(?:m?js|ts)$/.test(entry.name)) {
        const file = path.join(at, name);
        const { size } = fs.statSync(file);
        if (size >= smallest && size <= largest) files.push({ name, file });
      }
    }
  };
  for (const [name, folder, at = ''] of packages)
    walk(path.join(root, at), path.join(name, folder));
  // By name, wherever the package lies: which holes are dug depends on the order.
  return files.sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ file }) => file);
}

export const readText = (file: string): string =>
  fs.readFileSync(file, 'utf8').replaceAll('\r\n', '\n');

/** The first `count` holes of a kind, always the same ones; a file has a second one once all others have one. */
export function holesOf(kind: HoleKind, count: number): Hole[] {
  const next = uniformStream(`holes/${kind}`);
  const holes: Hole[] = [];
  const files = corpusFiles()
    .map((file) => ({ file, order: next() }))
    .sort((a, b) => a.order - b.order);
  for (let round = 0; round < mostRounds; round++) {
    for (const { file } of files) {
      if (holes.length === count) return holes;
      const hole = dig(file, kind, next);
      if (hole !== undefined) holes.push(hole);
    }
  }
  return holes;
}

const isCode = (line: string): boolean => /^\s*[\w$'"{[(.]/.test(line) && line.trim().length >= 12;

/** Looks for a place in the last two thirds of a file. */
function dig(file: string, kind: HoleKind, next: () => number): Hole | undefined {
  const lines = readText(file).split('\n');
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
