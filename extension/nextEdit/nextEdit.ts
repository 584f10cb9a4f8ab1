import {
  commands,
  Selection,
  TextEditorRevealType,
  window,
  workspace,
  type Disposable,
  type Position,
  type TextDocument,
  type TextEditor,
} from 'vscode';
import { State, type LanguageClient } from 'vscode-languageclient/node';
import { NextEditRequest, type NextEdit } from '../../sidecar/protocol.ts';
import { schemes } from '../client.ts';
import { isEnabledFor } from '../config.ts';
import { NextEditController, type Here, type Surface } from './controller.ts';
import { isInView, NextEditDrawing, rangeOf } from './drawing.ts';
import type { Suggestions } from './suggestions.ts';

/** As long as a completion waits for the next key at most, in milliseconds. */
const settleMs = 300;

/** Of `when` clauses in package.json: whether there is an offer. */
const offeredKey = 'sightline.nextEditOffered';

/** Offers next edits in the active editor: `sightline.nextEdit.enable`. */
export class NextEditOffers implements Surface, Disposable {
  readonly #client: LanguageClient;
  readonly #suggestions: Suggestions;
  readonly #drawing = new NextEditDrawing();
  readonly #controller = new NextEditController(this, settleMs);
  readonly #subscriptions: readonly { dispose(): unknown }[];
  #isOffered = false;

  constructor(client: LanguageClient, suggestions: Suggestions) {
    this.#client = client;
    this.#suggestions = suggestions;
    const controller = this.#controller;
    this.#subscriptions = [
      this.#drawing,
      workspace.onDidChangeTextDocument(({ document, contentChanges, reason }) => {
        if (contentChanges.length === 0 || document !== window.activeTextEditor?.document) return;
        // Behind undo and redo there is nothing to follow.
        controller.edited(reason !== undefined);
      }),
      window.onDidChangeTextEditorSelection(({ textEditor }) => {
        if (textEditor === window.activeTextEditor) controller.moved();
      }),
      window.onDidChangeTextEditorVisibleRanges(({ textEditor }) => {
        if (textEditor === window.activeTextEditor && this.offer !== undefined) controller.moved();
      }),
      window.onDidChangeActiveTextEditor(() => {
        controller.leave();
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('sightline')) controller.leave();
      }),
      suggestions.onDidSuggest(() => {
        if (this.isSuggesting()) controller.suggested();
      }),
      commands.registerCommand('sightline.acceptNextEdit', () => controller.accept()),
      commands.registerCommand('sightline.dismissNextEdit', () => {
        controller.dismiss();
      }),
    ];
  }

  get offer(): NextEdit | undefined {
    return this.#controller.offer;
  }

  here(): Here | undefined {
    const editor = window.activeTextEditor;
    if (editor === undefined || !isWantedIn(editor.document)) return undefined;
    const { document, selection } = editor;
    const { line, character } = selection.active;
    return { uri: document.uri.toString(), version: document.version, line, character };
  }

  isSuggesting(): boolean {
    const editor = window.activeTextEditor;
    return editor !== undefined && this.#suggestions.isShownIn(editor);
  }

  async ask(...[here, token]: Parameters<Surface['ask']>): Promise<NextEdit | null> {
    if (this.#client.state !== State.Running) return null;
    return this.#client.sendRequest(NextEditRequest, here, token);
  }

  show(edit: NextEdit | undefined): void {
    const editor = window.activeTextEditor;
    if (edit === undefined || editor === undefined) this.#drawing.clear();
    else this.#drawing.show(editor, edit);
    const isOffered = edit !== undefined;
    if (isOffered === this.#isOffered) return;
    this.#isOffered = isOffered;
    void commands.executeCommand('setContext', offeredKey, isOffered);
  }

  isInView(edit: NextEdit): boolean {
    const editor = window.activeTextEditor;
    return editor !== undefined && isInView(editor, edit);
  }

  reveal(edit: NextEdit): void {
    const editor = window.activeTextEditor;
    if (editor === undefined) return;
    const range = rangeOf(edit);
    goTo(editor, range.start);
    editor.revealRange(range, TextEditorRevealType.InCenterIfOutsideViewport);
  }

  async apply(edit: NextEdit): Promise<boolean> {
    const editor = window.activeTextEditor;
    if (editor === undefined) return false;
    const range = rangeOf(edit);
    const isApplied = await editor.edit((builder) => {
      builder.replace(range, edit.newText);
    });
    if (isApplied) goTo(editor, range.start.translate(0, edit.newText.length));
    return isApplied;
  }

  dispose(): void {
    this.#controller.leave();
    for (const one of this.#subscriptions) one.dispose();
  }
}

function goTo(editor: TextEditor, place: Position): void {
  editor.selection = new Selection(place, place);
}

/** Whether next edits are on, and the document is one that can be edited. */
const isWantedIn = (document: TextDocument): boolean =>
  workspace.getConfiguration('sightline', document).get<boolean>('nextEdit.enable', false) &&
  isEnabledFor(document) &&
  schemes.includes(document.uri.scheme) &&
  workspace.fs.isWritableFileSystem(document.uri.scheme) !== false;
