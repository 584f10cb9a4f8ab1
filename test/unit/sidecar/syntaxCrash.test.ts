/** A file of its own: the parser is of no use to the process afterwards. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CursorSyntax } from '../../../sidecar/syntax/cursor.ts';
import { languageOf } from '../../../sidecar/syntax/languages.ts';
import { Grammars } from '../../../sidecar/syntax/parser.ts';
import { errorsOf } from '../../../sidecar/syntax/tree.ts';

const folder = fileURLToPath(
  new URL('../../../node_modules/@vscode/tree-sitter-wasm/wasm', import.meta.url),
);

it('a parser that crashes is told of once, and completions end as without one', async () => {
  const told: string[] = [];
  const grammars = new Grammars(folder, (message) => told.push(message));
  const language = languageOf('a.py');
  assert.ok(language !== undefined);
  const parser = await grammars.parserOf(language, Infinity);
  assert.ok(parser !== undefined);
  // More than its stack holds.
  const deep = `a\n${'/*'.repeat(3000)}`;
  assert.equal(parser.read(deep + deep, errorsOf), undefined);
  assert.equal(parser.read('a\n', errorsOf), undefined);
  parser.close();
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /^The parser has crashed: /);
  const place = { name: 'a.py', before: 'a', after: '' };
  assert.equal(await CursorSyntax.at(place, grammars), undefined);
  assert.equal(told.length, 1);
});
