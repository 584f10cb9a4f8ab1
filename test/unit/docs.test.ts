import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import ts from 'typescript';
import { completeCommand } from '../../sidecar/cli/complete.ts';
import { fitCommand } from '../../sidecar/cli/fit.ts';
import { generateCommand } from '../../sidecar/cli/generate.ts';
import { exitCodes } from '../../sidecar/exit.ts';

const read = (path: string): string =>
  readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node;
  for (const child of node.getChildren()) yield* nodesOf(child);
}

const nodes = (path: string): ts.Node[] => [
  ...nodesOf(ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true)),
];

describe('docs/protocol.md', () => {
  const page = read('docs/protocol.md');
  const protocol = nodes('sidecar/protocol.ts');

  it('names every method', () => {
    const methods = protocol
      .filter(ts.isNewExpression)
      .map(({ arguments: args }) => args?.[0])
      .filter((argument) => argument !== undefined && ts.isStringLiteral(argument))
      .map(({ text }) => text);
    assert.ok(methods.length >= 3);
    for (const method of methods) assert.ok(page.includes(`\`${method}\``), method);
    for (const [, method] of page.matchAll(/`(sightline\/\w+)`/g)) {
      assert.ok(method !== undefined && methods.includes(method), `${method ?? ''} does not exist`);
    }
  });

  it('names every field and every value', () => {
    const fields = protocol.filter(ts.isPropertySignature).map(({ name }) => name.getText());
    const values = protocol
      .filter(ts.isLiteralTypeNode)
      .map(({ literal }) => literal)
      .filter(ts.isStringLiteral)
      .map(({ text }) => text);
    assert.ok(fields.length > 25 && values.length > 8);
    for (const name of new Set([...fields, ...values])) {
      assert.match(page, new RegExp(`\`(?:\\w+\\.)?"?${name}"?(?:\\.\\w+)?\``), name);
    }
  });
});

describe('docs/errors.md', () => {
  const page = read('docs/errors.md');
  const listed = (pattern: RegExp): string[] =>
    [...page.matchAll(pattern)].map(([, name]) => name ?? '').sort();

  it('describes every code, and no other', () => {
    const codesOf = (path: string, alias: string): string[] =>
      nodes(path)
        .filter(ts.isTypeAliasDeclaration)
        .filter(({ name }) => name.text === alias)
        .flatMap((declaration) => [...nodesOf(declaration)].filter(ts.isStringLiteral))
        .map(({ text }) => text);
    const codes = [
      ...codesOf('sidecar/engine/addon.ts', 'AddonErrorCode'),
      ...codesOf('sidecar/engine/failure.ts', 'SidecarErrorCode'),
    ];
    assert.ok(codes.length > 12);
    assert.deepEqual(listed(/^\| `([A-Z_]+)` +\|/gm), codes.sort());
  });

  it('describes every exit code, and no other', () => {
    assert.deepEqual(listed(/^\| (\d+) +\|/gm), Object.values(exitCodes).map(String).sort());
  });
});

describe('docs/cli.md', () => {
  it('names every option of the commands', () => {
    const page = read('docs/cli.md');
    for (const command of [completeCommand(), generateCommand(), fitCommand()]) {
      assert.ok(page.includes(`\n## ${command.name()}\n`), command.name());
      for (const { long } of command.options) {
        assert.ok(page.includes(`\`${long ?? ''}\``), `${command.name()} ${long ?? ''}`);
      }
    }
  });

  it('describes exit codes as docs/errors.md does', () => {
    const codes = [...read('docs/cli.md').matchAll(/^\| `(\d+)` +\|/gm)].map(([, code]) => code);
    const known = Object.values(exitCodes).map(String);
    assert.ok(codes.length >= 6);
    for (const code of codes) assert.ok(code !== undefined && known.includes(code), code);
  });
});

describe('docs/backend.md', () => {
  it('lists every variable of the backend library, and no other', () => {
    const named = (text: string, pattern: RegExp): string[] =>
      [...new Set([...text.matchAll(pattern)].map(([, name]) => name ?? ''))].sort();
    const variables = named(read('native/backend/environment.cpp'), /"(SIGHTLINE_\w+)"/g);
    assert.ok(variables.length >= 4);
    assert.deepEqual(named(read('docs/backend.md'), /^\| `(SIGHTLINE_\w+)` +\|/gm), variables);
  });
});
