import { Disposable, window, type TextEditor } from 'vscode';

/** How long lines are on the screen before they count as looked at, in milliseconds. */
const lookMs = 500;

/** Tells what the user looks at, once it stays on the screen. */
export function onDidView(
  tell: (uri: string, firstLine: number, lastLine: number) => void,
): Disposable {
  let timer: NodeJS.Timeout | undefined;
  const look = (editor: TextEditor | undefined): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const [first] = editor?.visibleRanges ?? [];
      const last = editor?.visibleRanges.at(-1);
      if (editor === undefined || first === undefined || last === undefined) return;
      tell(editor.document.uri.toString(), first.start.line, last.end.line);
    }, lookMs);
  };
  const listening = [
    window.onDidChangeActiveTextEditor(look),
    window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => {
      if (textEditor === window.activeTextEditor) look(textEditor);
    }),
  ];
  look(window.activeTextEditor);
  return new Disposable(() => {
    clearTimeout(timer);
    Disposable.from(...listening).dispose();
  });
}
