import {
  commands,
  Position,
  workspace,
  type CancellationToken,
  type Location,
  type LocationLink,
  type TextDocument,
} from 'vscode';
import type { Definition, DocumentPlace } from '../sidecar/protocol.ts';

/** For all providers together, in milliseconds. */
const budgetMs = 500;
/** Names that are looked up. */
const mostNames = 12;
/** Lines before and after the place that names are taken from. */
const linesBefore = 30;
const linesAfter = 10;

/** Where the names around a place are defined, by the editor's own providers; what takes longer than half a second is left out. */
export async function findDefinitions(
  { uri, line, character }: DocumentPlace,
  token: CancellationToken,
): Promise<Definition[]> {
  const document = workspace.textDocuments.find((one) => one.uri.toString() === uri);
  if (document === undefined) return [];
  const found: Definition[][] = [];
  const lookups = namesAround(document, new Position(line, character)).map(async (at, index) => {
    found[index] = await definitionsAt(document, at);
  });
  await Promise.race([
    Promise.allSettled(lookups),
    new Promise((resolve) => {
      setTimeout(resolve, budgetMs);
      token.onCancellationRequested(resolve);
    }),
  ]);
  const others = found.flat().filter((definition) => definition.uri !== uri);
  return [...new Map(others.reverse().map((one) => [one.uri, one])).values()].reverse();
}

/** Positions of different names, the nearest first. */
function namesAround(document: TextDocument, place: Position): Position[] {
  const names = new Map<string, Position>();
  const first = Math.max(0, place.line - linesBefore);
  const last = Math.min(document.lineCount - 1, place.line + linesAfter);
  const lines = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  lines.sort((a, b) => Math.abs(a - place.line) - Math.abs(b - place.line));
  for (const line of lines) {
    for (const match of document.lineAt(line).text.matchAll(/[\p{L}_$][\p{L}\p{N}_$]{2,}/gu)) {
      if (names.size === mostNames) return [...names.values()];
      const [name] = match;
      if (!names.has(name)) names.set(name, new Position(line, match.index));
    }
  }
  return [...names.values()];
}

async function definitionsAt({ uri }: TextDocument, at: Position): Promise<Definition[]> {
  const all = await commands.executeCommand<(Location | LocationLink)[] | undefined>(
    'vscode.executeDefinitionProvider',
    uri,
    at,
  );
  return (all ?? []).map((one) =>
    'targetUri' in one
      ? { uri: one.targetUri.toString(), line: one.targetRange.start.line }
      : { uri: one.uri.toString(), line: one.range.start.line },
  );
}
