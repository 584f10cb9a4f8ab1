import {
  DecorationRangeBehavior,
  l10n,
  MarkdownString,
  Range,
  StatusBarAlignment,
  ThemeColor,
  window,
  type TextEditor,
} from 'vscode';
import type { NextEdit } from '../../sidecar/protocol.ts';
import { describeNextEdit, hintOf, keysOfNextEdit } from './sentences.ts';

const ghostText = new ThemeColor('editorGhostText.foreground');
const rangeBehavior = DecorationRangeBehavior.ClosedClosed;

export const rangeOf = ({ range: { start, end } }: NextEdit): Range =>
  new Range(start.line, start.character, end.line, end.character);

export const isInView = ({ visibleRanges }: TextEditor, edit: NextEdit): boolean =>
  visibleRanges.some((range) => range.contains(rangeOf(edit)));

/** Shows an offer: what goes struck through, what comes beside it, where it is when that is out of view; and in the status bar. */
export class NextEditDrawing {
  readonly #place = window.createTextEditorDecorationType({
    rangeBehavior,
    textDecoration: 'line-through',
    backgroundColor: new ThemeColor('diffEditor.removedTextBackground'),
  });
  readonly #hint = window.createTextEditorDecorationType({ rangeBehavior });
  readonly #item = window.createStatusBarItem('sightline.nextEdit', StatusBarAlignment.Right, 99);
  #shownIn: TextEditor | undefined;

  constructor() {
    this.#item.name = l10n.t('Sightline Next Edit');
    this.#item.command = 'sightline.acceptNextEdit';
  }

  show(editor: TextEditor, edit: NextEdit): void {
    if (this.#shownIn !== editor) this.clear();
    this.#shownIn = editor;
    const described = describeNextEdit(edit);
    const said = `${described} ${keysOfNextEdit()}`;
    const contentText = edit.newText.replaceAll(/\s+/g, ' ');
    editor.setDecorations(this.#place, [
      {
        range: rangeOf(edit),
        hoverMessage: new MarkdownString().appendText(said),
        renderOptions: {
          after: { contentText, color: ghostText, fontStyle: 'italic', margin: '0 0 0 0.5ch' },
        },
      },
    ]);
    const { line } = editor.selection.active;
    const lineEnd = editor.document.lineAt(line).range.end;
    const hint = {
      range: new Range(lineEnd, lineEnd),
      hoverMessage: new MarkdownString().appendText(said),
      renderOptions: {
        after: { contentText: hintOf(edit), color: ghostText, margin: '0 0 0 2ch' },
      },
    };
    editor.setDecorations(this.#hint, isInView(editor, edit) ? [] : [hint]);
    this.#item.text = `$(arrow-right) ${hintOf(edit)}`;
    this.#item.tooltip = said;
    this.#item.accessibilityInformation = { label: said, role: 'status' };
    this.#item.show();
  }

  clear(): void {
    for (const type of [this.#place, this.#hint]) this.#shownIn?.setDecorations(type, []);
    this.#shownIn = undefined;
    this.#item.hide();
  }

  dispose(): void {
    for (const one of [this.#place, this.#hint, this.#item]) one.dispose();
  }
}
