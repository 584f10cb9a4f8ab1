/** Work that is done again only when what it was made from has changed. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { at, root } from './shell.mjs';

/** Every file under `start` (a file stands for itself), sorted. */
export function filesUnder(start) {
  if (!existsSync(start)) return [];
  const entries = readdirSync(path.dirname(start), { withFileTypes: true });
  if (entries.find((entry) => entry.name === path.basename(start))?.isFile()) return [start];
  return readdirSync(start, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

async function hashOf({ files = [], text = [] }) {
  const hash = createHash('sha256');
  for (const part of text) hash.update(`${part}\0`);
  for (const file of files.flatMap(filesUnder))
    hash.update(`${path.relative(root, file)}\0`).update(await readFile(file));
  return hash.digest('hex');
}

/**
 * Runs `action` unless it has run on the same inputs before and all of its outputs are there.
 * @param {string} name of the stamp
 * @param {{ files?: string[], text?: string[], outputs: string[] }} of inputs (files or folders, and
 *   values) and outputs, as absolute paths
 * @returns {Promise<boolean>} whether the action ran
 */
export async function once(name, { files, text, outputs }, action) {
  const stamp = at('build/stamps', name);
  const hash = await hashOf({ files, text });
  const before = await readFile(stamp, 'utf8').catch(() => '');
  if (before === hash && outputs.every((output) => existsSync(output))) return false;
  await rm(stamp, { force: true });
  await action();
  await mkdir(path.dirname(stamp), { recursive: true });
  await writeFile(stamp, hash);
  return true;
}
