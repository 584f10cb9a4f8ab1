import {
  commands,
  DocumentSymbol,
  l10n,
  Range,
  SymbolKind,
  workspace,
  type SymbolInformation,
  type TextDocument,
} from 'vscode';
import type { CodeLines } from './prompts.ts';

/** Whole lines of a document, from 0 and inclusive. */
export interface Place {
  readonly document: TextDocument;
  readonly first: number;
  readonly last: number;
}

/** Symbols take longer while their language's server starts, in milliseconds. */
const patienceMs = 2000;

const kinds: ReadonlySet<SymbolKind> = new Set([
  SymbolKind.Class,
  SymbolKind.Constructor,
  SymbolKind.Enum,
  SymbolKind.Function,
  SymbolKind.Interface,
  SymbolKind.Method,
  SymbolKind.Struct,
]);

/** The lines selected; with nothing selected, the innermost function or class around, or else the paragraph. */
export async function placeAt(document: TextDocument, range: Range): Promise<Place> {
  const { start, end } = range;
  if (!range.isEmpty) {
    // A selection up to the beginning of a line has nothing of it.
    const last = end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
    return { document, first: start.line, last };
  }
  const around = await symbolAround(document, range);
  if (around !== undefined) return { document, first: around.start.line, last: around.end.line };
  return paragraphAround(document, start.line);
}

/** The lines that are to be changed for problems in `range`: as much as around a cursor, and all of the range. */
export async function placeAround(document: TextDocument, range: Range): Promise<Place> {
  const around = await placeAt(document, new Range(range.start, range.start));
  return { document, first: around.first, last: Math.max(around.last, range.end.line) };
}

async function symbolAround({ uri }: TextDocument, range: Range): Promise<Range | undefined> {
  const asked = commands.executeCommand<(DocumentSymbol | SymbolInformation)[] | undefined>(
    'vscode.executeDocumentSymbolProvider',
    uri,
  );
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, patienceMs, undefined));
  const symbols = await Promise.race([asked, late]);
  let innermost: Range | undefined;
  const look = (all: readonly (DocumentSymbol | SymbolInformation)[]): void => {
    for (const symbol of all) {
      const whole = symbol instanceof DocumentSymbol ? symbol.range : symbol.location.range;
      if (!whole.contains(range)) continue;
      if (kinds.has(symbol.kind) && innermost?.contains(whole) !== false) innermost = whole;
      if (symbol instanceof DocumentSymbol) look(symbol.children);
    }
  };
  look(symbols ?? []);
  return innermost;
}

/** The lines up to the next blank ones. */
function paragraphAround(document: TextDocument, line: number): Place {
  const isBlank = (at: number): boolean => document.lineAt(at).isEmptyOrWhitespace;
  let first = line;
  let last = line;
  while (first > 0 && !isBlank(first - 1)) first--;
  while (last < document.lineCount - 1 && !isBlank(last + 1)) last++;
  return { document, first, last };
}

export function codeAt({ document, first, last }: Place): CodeLines {
  const lines = Array.from(
    { length: last - first + 1 },
    (_, index) => document.lineAt(first + index).text,
  );
  return {
    path: workspace.asRelativePath(document.uri, false),
    language: document.languageId,
    lines,
  };
}

/** "src/list.ts, lines 3 to 9" */
export const namePlace = ({ document, first, last }: Place): string =>
  l10n.t(
    '{0}, lines {1} to {2}',
    workspace.asRelativePath(document.uri, false),
    first + 1,
    last + 1,
  );
