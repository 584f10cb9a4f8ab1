import fs from 'node:fs';
import path from 'node:path';
import type { NativeEngine } from '../../../sidecar/engine/addon.ts';

/** Source files of packages that package-lock.json pins. */
export const corpusFiles = {
  connection: 'vscode-jsonrpc/lib/common/connection.js',
  textDocument: 'vscode-languageserver-textdocument/lib/esm/main.js',
  linkedMap: 'vscode-jsonrpc/lib/common/linkedMap.js',
  messages: 'vscode-jsonrpc/lib/common/messages.js',
} as const;

export function readCorpus(file: keyof typeof corpusFiles): string {
  const modules = path.resolve(import.meta.dirname, '../../../node_modules');
  return fs.readFileSync(path.join(modules, corpusFiles[file]), 'utf8');
}

/** The first `count` tokens of real code; `skip` leaves out as many before them. */
export async function codeTokens(
  engine: NativeEngine,
  count: number,
  skip = 0,
): Promise<Int32Array> {
  const tokens = await engine.tokenize(readCorpus('connection'), false);
  if (tokens.length < skip + count) throw new Error(`the corpus has only ${tokens.length} tokens`);
  return tokens.slice(skip, skip + count);
}
