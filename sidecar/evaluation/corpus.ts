import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { fileHead, startOf } from '../context/head.ts';
import type { LoadedModel } from '../engine/engine.ts';
import { fail, succeed, type Result } from '../result.ts';
import { shuffled, uniformStream } from './random.ts';

export interface CorpusFile {
  /** As it was named, with what is below that. */
  readonly name: string;
  readonly text: string;
}

export interface Corpus {
  /** Always in the same order, which is not that of their names. */
  readonly files: readonly CorpusFile[];
  readonly sha256: string;
  /** Packages that files are of, with their licences. */
  readonly sources: readonly string[];
}

/** The folder that was named, as an editor calls a workspace; empty for a file that was named itself. */
export const repositoryOf = ({ name }: CorpusFile): string => /^[^/]+(?=\/)/.exec(name)?.[0] ?? '';

/** Bytes of a file: longer ones are data or bundles more often than source. */
const largest = 2 ** 20;

const extensions = new Set(
  '.c .cc .cjs .cpp .cs .cts .cu .go .h .hpp .java .js .jsx .kt .lua .mjs .mts .php .py .rb .rs .scala .sh .swift .ts .tsx .zig'.split(
    ' ',
  ),
);

/**
 * Source files named, or below folders named but in their node_modules and hidden folders. Files that are binary, empty or
 * minified are left out. The error is a line for the user.
 */
export async function readCorpus(paths: readonly string[]): Promise<Result<Corpus, string>> {
  const files: CorpusFile[] = [];
  const sources = new Set<string>();
  for (const path of paths) {
    const found = await filesUnder(path);
    if (!found.ok) return found;
    for (const file of found.value) {
      const bytes = await readFile(file);
      if (bytes.length > largest || bytes.includes(0)) continue;
      const text = bytes.toString('utf8').replaceAll('\r\n', '\n');
      if (text.trim() === '' || isMinified(text)) continue;
      const name = join(basename(resolve(path)), relative(path, file));
      files.push({ name: name.replaceAll('\\', '/'), text });
      const source = await sourceOf(dirname(resolve(file)));
      if (source !== undefined) sources.add(source);
    }
  }
  if (files.length === 0)
    return fail(`there is no source file in ${paths.join(', ')}; name files or folders with code`);
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  const hash = createHash('sha256');
  for (const { name, text } of files) hash.update(`${name}\0${text}\0`);
  return succeed({
    files: shuffled(files, uniformStream('corpus')),
    sha256: hash.digest('hex'),
    sources: [...sources].sort(),
  });
}

async function filesUnder(path: string): Promise<Result<string[], string>> {
  const about = await stat(path).catch(() => undefined);
  if (about === undefined) return fail(`there is no file or folder ${path}`);
  if (!about.isDirectory()) return succeed([path]);
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const at = join(folder, entry.name);
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
      if (entry.isDirectory()) await walk(at);
      else if (entry.isFile() && extensions.has(extname(entry.name))) found.push(at);
    }
  };
  await walk(path);
  return succeed(found);
}

const isMinified = (text: string): boolean => text.length / text.split('\n').length > 200;

const manifest = z.object({
  name: z.string(),
  version: z.string(),
  license: z.string().default('no licence named'),
});

/** `name@version (licence)` of the package that a folder is in; Python's own library has no manifest. */
async function sourceOf(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => undefined);
  if (text !== undefined) {
    try {
      const parsed = manifest.safeParse(JSON.parse(text));
      if (parsed.success)
        return `${parsed.data.name}@${parsed.data.version} (${parsed.data.license})`;
    } catch {
      // Somebody else's file: what it is of is not known then.
    }
  }
  const [, python] = /^python(\d+\.\d+)$/.exec(basename(folder)) ?? [];
  if (python !== undefined && (await stat(join(folder, 'os.py')).catch(() => undefined))?.isFile())
    return `Python ${python}'s standard library (PSF-2.0)`;
  const above = dirname(folder);
  return above === folder ? undefined : sourceOf(above);
}

/** Tokens of the files one after the other, each behind its name as in the product's prompts; at most `most` of them. */
export async function corpusTokens(
  { native, tokenizer }: LoadedModel,
  { files }: Corpus,
  most: number,
): Promise<Int32Array> {
  const tokens = new Int32Array(most);
  let length = 0;
  for (const { name, text } of files) {
    if (length === most) break;
    const head = await fileHead(native.info, tokenizer, basename(name));
    for (const part of [Int32Array.from(head), await tokenizer.tokenize(text)]) {
      const fitting = part.subarray(0, most - length);
      tokens.set(fitting, length);
      length += fitting.length;
    }
  }
  return tokens.subarray(0, length);
}

/** The text's piece of that number, of `length` tokens with the one that texts start with. */
export function chunkOf(
  { native }: LoadedModel,
  text: Int32Array,
  length: number,
  index: number,
): Int32Array {
  const start = startOf(native.info);
  const own = length - start.length;
  return Int32Array.from([...start, ...text.subarray(index * own, (index + 1) * own)]);
}

/** How many such pieces there are. */
export const chunksOf = ({ native }: LoadedModel, text: Int32Array, length: number): number =>
  Math.floor(text.length / (length - startOf(native.info).length));
