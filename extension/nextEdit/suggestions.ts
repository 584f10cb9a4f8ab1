import { EventEmitter, type Position, type TextDocument, type TextEditor } from 'vscode';

/**
 * Whether an inline suggestion of ours is on the screen, as far as an extension can know: VS Code shows what it was given
 * until the document is edited or the cursor leaves the line.
 */
export class Suggestions {
  readonly #changes = new EventEmitter<void>();
  #latest: { readonly document: TextDocument; version: number; line: number } | undefined;

  /** One has come up. */
  readonly onDidSuggest = this.#changes.event;

  /** What VS Code was given for a place. */
  given(document: TextDocument, { line }: Position, isAny: boolean): void {
    this.#latest = isAny ? { document, version: document.version, line } : undefined;
    if (isAny) this.#changes.fire();
  }

  isShownIn({ document, selection }: TextEditor): boolean {
    return (
      this.#latest?.document === document &&
      this.#latest.version === document.version &&
      this.#latest.line === selection.active.line
    );
  }

  dispose(): void {
    this.#changes.dispose();
  }
}
