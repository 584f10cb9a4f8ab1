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
  readonly #registration = workspace.registerTextDocumentContentProvider(scheme, this);

  readonly onDidChange = this.#changes.event;

  provideTextDocumentContent(uri: Uri): string {
    return this.#contents.get(uri.path) ?? '';
  }

  /** Shows Markdown in an editor, in place of what the page showed before. */
  async show(title: string, content: string): Promise<void> {
    const uri = Uri.from({ scheme, path: `/${title}.md` });
    this.#contents.set(uri.path, content);
    this.#changes.fire(uri);
    await window.showTextDocument(await workspace.openTextDocument(uri));
  }

  dispose(): void {
    this.#registration.dispose();
    this.#changes.dispose();
  }
}
