import {
  EventEmitter,
  Uri,
  window,
  workspace,
  type Disposable,
  type TextDocumentContentProvider,
} from 'vscode';

const scheme = 'sightline';

/** Pages that Sightline writes: read-only documents, and none that a model is ever shown. */
export class Pages implements TextDocumentContentProvider, Disposable {
  readonly scheme = scheme;
  readonly #contents = new Map<string, string>();
  readonly #changes = new EventEmitter<Uri>();
  /** Before the registration, which looks whether it is there. */
  readonly onDidChange = this.#changes.event;
  readonly #registration = workspace.registerTextDocumentContentProvider(scheme, this);

  provideTextDocumentContent(uri: Uri): string {
    return this.#contents.get(uri.path) ?? '';
  }

  /** Shows Markdown in an editor, in place of what the page showed before. */
  async show(title: string, content: string): Promise<void> {
    this.write(title, content);
    await window.showTextDocument(await workspace.openTextDocument(addressOf(title)));
  }

  /** Changes what the page shows, where it is shown. */
  write(title: string, content: string): void {
    const uri = addressOf(title);
    this.#contents.set(uri.path, content);
    this.#changes.fire(uri);
  }

  dispose(): void {
    this.#registration.dispose();
    this.#changes.dispose();
  }
}

const addressOf = (title: string): Uri => Uri.from({ scheme, path: `/${title}.md` });
