/** Holes in files of packages that package-lock.json pins. */
import fs from 'node:fs';
import path from 'node:path';
import type { CorpusFile } from '../sidecar/evaluation/corpus.ts';
import { holesOf as holesIn, type Hole, type HoleKind } from '../sidecar/evaluation/holes.ts';
import { uniformStream } from '../sidecar/evaluation/random.ts';

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

const root = path.resolve(import.meta.dirname, '../node_modules');

/** By package: all that is in a hole's package but its own file may be shown beside it. */
export function corpusFiles(): CorpusFile[] {
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
  return files
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, file }) => ({
      name: name.replaceAll('\\', '/'),
      text: fs.readFileSync(file, 'utf8').replaceAll('\r\n', '\n'),
    }));
}

/** The first `count` holes of a kind, always the same ones. */
export const holesOf = (kind: HoleKind, count: number): Hole[] =>
  holesIn(corpusFiles(), kind, count, uniformStream(`holes/${kind}`));
