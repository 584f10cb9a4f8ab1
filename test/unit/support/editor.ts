import type { CancellationToken } from 'vscode-languageserver/node';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { NextEditRequest, type NextEdit } from '../../../sidecar/protocol.ts';
import type { LspClient } from './lspClient.ts';

/** An editor with one cursor, on the language server. */
export class Editor {
  readonly client: LspClient;
  readonly #documents = new Map<string, TextDocument>();
  uri = '';
  offset = 0;

  constructor(client: LspClient) {
    this.client = client;
  }

  /** Of the document that the cursor is in. */
  get text(): string {
    return this.textOf(this.uri);
  }

  textOf(uri: string): string {
    return this.#documents.get(uri)?.getText() ?? '';
  }

  async open(uri: string, text: string): Promise<void> {
    this.#documents.set(uri, TextDocument.create(uri, '', 1, text));
    await this.client.open(uri, text);
  }

  async close(uri: string): Promise<void> {
    this.#documents.delete(uri);
    await this.client.close(uri);
  }

  /** No editor has a cursor in the middle of a line end: then it is before it. */
  go(uri: string, offset: number): void {
    this.uri = uri;
    const document = this.#document;
    this.offset = document.offsetAt(document.positionAt(offset));
  }

  /** Replaces the `count` characters before the cursor. */
  async replace(count: number, text: string): Promise<void> {
    const document = this.#document;
    const start = document.positionAt(this.offset - count);
    const range = { start, end: document.positionAt(this.offset) };
    const version = document.version + 1;
    const cursor = document.offsetAt(start) + text.length;
    TextDocument.update(document, [{ range, text }], version);
    this.offset = cursor;
    await this.client.change(this.uri, version, range, text);
  }

  /** What is offered at the cursor. */
  async ask(): Promise<string> {
    const [item] = await this.client.complete(this.uri, this.#document.positionAt(this.offset));
    return typeof item?.insertText === 'string' ? item.insertText : '';
  }

  /** The next edit from the cursor on. */
  askNext(token?: CancellationToken): Promise<NextEdit | null> {
    const { uri, version } = this.#document;
    const place = this.#document.positionAt(this.offset);
    return this.client.connection.sendRequest(NextEditRequest, { uri, version, ...place }, token);
  }

  async accept({ range, newText }: NextEdit): Promise<void> {
    const [start, end] = [range.start, range.end].map((place) => this.#document.offsetAt(place));
    this.offset = end ?? 0;
    await this.replace(this.offset - (start ?? 0), newText);
  }

  get #document(): TextDocument {
    const document = this.#documents.get(this.uri);
    if (document === undefined) throw new Error(`${this.uri} is not open`);
    return document;
  }
}
