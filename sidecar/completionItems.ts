import {
  CompletionItemKind,
  InsertTextFormat,
  InsertTextMode,
  MarkupKind,
  type CompletionItem,
  type InlineCompletionItem,
  type InlineCompletionParams,
  type Position,
} from 'vscode-languageserver/node';
import type { TextDocument } from 'vscode-languageserver-textdocument';
import type { Offer } from './completion/requests.ts';
import { fenced } from './markdown.ts';

/** An offer as editors show it in the text. */
export function inlineItems(
  { text, replaces }: Offer,
  { context, position }: InlineCompletionParams,
): InlineCompletionItem[] {
  if (text === '') return [];
  const chosen = context.selectedCompletionInfo;
  const { start, end } = chosen?.range ?? { start: position, end: position };
  // Without a range VS Code takes the word at the cursor and the rest of the line to be replaced.
  const range = { start, end: { ...end, character: end.character + replaces } };
  return [{ insertText: (chosen?.text ?? '') + text, range }];
}

/** Where a list comes up. */
export interface ListPlace {
  readonly position: Position;
  readonly languageId: string;
  /** What there is before the cursor of the word at it. */
  readonly word: string;
}

export function listPlace(document: TextDocument, position: Position): ListPlace {
  const line = document.getText({ start: { ...position, character: 0 }, end: position });
  const word = /[\p{L}\p{N}_]*$/u.exec(line)?.[0] ?? '';
  return { position, languageId: document.languageId, word };
}

/** An offer as an item of a list, for editors that show no text but what is there. */
export function listItems(
  { text, replaces }: Offer,
  { position, languageId, word }: ListPlace,
): CompletionItem[] {
  if (text.trim() === '') return [];
  // Editors filter items by the word at the cursor, and replace it.
  const newText = word + text;
  const [label = '', ...more] = newText.trim().split(/\r?\n/);
  return [
    {
      label: more.length === 0 ? label : `${label} …`,
      kind: CompletionItemKind.Text,
      detail: 'Sightline',
      ...(more.length === 0
        ? {}
        : {
            documentation: {
              kind: MarkupKind.Markdown,
              value: fenced(newText.trim(), languageId),
            },
          }),
      // Before letters and digits, which others sort by.
      sortText: '!',
      filterText: newText,
      insertText: newText,
      insertTextFormat: InsertTextFormat.PlainText,
      insertTextMode: InsertTextMode.asIs,
      textEdit: {
        range: {
          start: { ...position, character: position.character - word.length },
          end: { ...position, character: position.character + replaces },
        },
        newText,
      },
    },
  ];
}
