import { EventEmitter, type Position, type TextDocument, type TextEditor } from 'vscode';

/**
 * Whether an inline suggestion of ours is on the screen, as far as an extension can know: VS Code shows what it was given
 * until the document is edited or the cursor moves.
 */
export class Suggestions {
  readonly #changes = new EventEmitter<void>();
  #latest: { readonly document: TextDocument; version: number; position: Position } | undefined;

  /** One has come up. */
  readonly onDidSuggest = this.#changes.event;

  /** What VS Code was given for a place. */
  given(document: TextDocument, position: Position, isAny: boolean): void {
    this.#latest = isAny ? { document, version: document.version, position } : undefined;
    if (isAny) this.#changes.fire();
  }

  isShownIn({ document, selection }: TextEditor): boolean {
    return (
      this.#latest?.document === document &&
      this.#latest.version === document.version &&
      this.#latest.position.isEqual(selection.active)
    );
  }

  dispose(): void {
    this.#changes.dispose();
  }
}
