import {
  CodeLens,
  commands,
  DecorationRangeBehavior,
  EndOfLine,
  EventEmitter,
  l10n,
  languages,
  OverviewRulerLane,
  Position,
  Range,
  Selection,
  TabInputText,
  TextEditorRevealType,
  ThemeColor,
  Uri,
  window,
  workspace,
  WorkspaceEdit,
  type CodeLensProvider,
  type Disposable,
  type Tab,
  type TextDocument,
  type TextDocumentContentProvider,
} from 'vscode';
import { applyHunks, editOf, linesOf } from './hunks.ts';
import { Proposal, type OpenHunk, type ProposalView } from './proposal.ts';

const scheme = 'sightline-proposal';
/** Of the address of the document as it would be, for a comparison side by side. */
const resultFragment = 'result';

/** A proposal for a document, with the page that shows it. */
interface Open {
  readonly target: Uri;
  readonly proposal: Proposal;
  /** As the page shows it. */
  view: ProposalView;
}

const gutterIcon = (path: string, color: string): Uri =>
  Uri.parse(
    `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="${path}" fill="none" stroke="${color}" stroke-width="2"/></svg>`)}`,
  );

/** Changes for documents, shown with what goes and what comes until each is accepted or rejected. Only accepting edits. */
export class Proposals implements TextDocumentContentProvider, CodeLensProvider, Disposable {
  /** By the address of the page. */
  readonly #open = new Map<string, Open>();
  /** How many there have been: each has a page of its own. */
  #proposed = 0;
  readonly #changes = new EventEmitter<Uri>();
  readonly #lensChanges = new EventEmitter<void>();
  readonly #removed = window.createTextEditorDecorationType({
    isWholeLine: true,
    rangeBehavior: DecorationRangeBehavior.ClosedClosed,
    backgroundColor: new ThemeColor('diffEditor.removedTextBackground'),
    overviewRulerColor: new ThemeColor('editorOverviewRuler.deletedForeground'),
    overviewRulerLane: OverviewRulerLane.Full,
    gutterIconPath: gutterIcon('M3 8h10', '#c74e39'),
  });
  readonly #added = window.createTextEditorDecorationType({
    isWholeLine: true,
    rangeBehavior: DecorationRangeBehavior.ClosedClosed,
    backgroundColor: new ThemeColor('diffEditor.insertedTextBackground'),
    overviewRulerColor: new ThemeColor('editorOverviewRuler.addedForeground'),
    overviewRulerLane: OverviewRulerLane.Full,
    gutterIconPath: gutterIcon('M8 3v10M3 8h10', '#2ea043'),
  });
  readonly #subscriptions: readonly { dispose(): unknown }[];

  readonly onDidChange = this.#changes.event;
  readonly onDidChangeCodeLenses = this.#lensChanges.event;

  constructor() {
    const forHunk =
      (act: (page: Uri, id: number) => Promise<void>) => (page?: unknown, id?: unknown) => {
        const at = typeof id === 'number' && page instanceof Uri ? { page, id } : this.#atCursor();
        return at === undefined ? undefined : act(at.page, at.id);
      };
    const forAll = (act: (page: Uri) => Promise<void>) => (page?: unknown) => {
      const shown = page instanceof Uri ? page : window.activeTextEditor?.document.uri;
      return shown === undefined ? undefined : act(shown);
    };
    this.#subscriptions = [
      this.#changes,
      this.#lensChanges,
      this.#removed,
      this.#added,
      workspace.registerTextDocumentContentProvider(scheme, this),
      languages.registerCodeLensProvider({ scheme }, this),
      workspace.onDidChangeTextDocument(({ document }) => {
        if (document.uri.scheme === scheme) this.#decorate();
        else for (const page of this.#pagesOf(document.uri)) this.#changed(page);
      }),
      window.onDidChangeVisibleTextEditors(() => {
        this.#decorate();
      }),
      window.tabGroups.onDidChangeTabs(({ closed }) => {
        for (const { input } of closed) {
          if (input instanceof TabInputText && tabsOf(input.uri).length === 0) {
            this.#open.delete(input.uri.toString());
          }
        }
      }),
      commands.registerCommand(
        'sightline.acceptChange',
        forHunk((page, id) => this.#accept(page, new Set([id]))),
      ),
      commands.registerCommand(
        'sightline.rejectChange',
        forHunk((page, id) => this.#reject(page, new Set([id]))),
      ),
      commands.registerCommand(
        'sightline.acceptAllChanges',
        forAll((page) => this.#accept(page, this.#fittingIds(page))),
      ),
      commands.registerCommand(
        'sightline.rejectAllChanges',
        forAll((page) => this.#close(page)),
      ),
      commands.registerCommand(
        'sightline.compareChanges',
        forAll((page) => this.#compare(page)),
      ),
    ];
  }

  /**
   * Shows what makes `after` of `before`, the document's text when it was asked for; what has been typed since stays. A
   * proposal that is open for the same document gives way. False where there is nothing to change.
   */
  async propose(target: Uri, before: string, after: string): Promise<boolean> {
    const proposal = new Proposal(before, after);
    if (proposal.isOver) return false;
    const document = await workspace.openTextDocument(target);
    for (const former of this.#pagesOf(target)) await this.#close(former);
    const page = pageOf(target, ++this.#proposed);
    this.#open.set(page.toString(), { target, proposal, view: proposal.view(document.getText()) });
    const shown = await workspace.openTextDocument(page);
    if (shown.languageId !== document.languageId) {
      await languages.setTextDocumentLanguage(shown, document.languageId);
    }
    await window.showTextDocument(shown, { preview: false });
    this.#decorate();
    this.#reveal(page);
    return true;
  }

  async provideTextDocumentContent(uri: Uri): Promise<string> {
    const open = this.#open.get(uri.with({ fragment: '' }).toString());
    if (open === undefined) return l10n.t('These changes are gone. Ask for them again.');
    const document = await workspace.openTextDocument(open.target);
    open.view = open.proposal.view(document.getText());
    const { lines, hunks } = open.view;
    if (uri.fragment !== resultFragment) return lines.join('\n');
    return applyHunks(linesOf(document.getText()), hunks).join('\n');
  }

  provideCodeLenses({ uri }: TextDocument): CodeLens[] {
    const view = this.#open.get(uri.toString())?.view;
    if (view === undefined) return [];
    const top = new Range(0, 0, 0, 0);
    const all = (command: string, title: string): CodeLens =>
      new CodeLens(top, { command: `sightline.${command}`, title, arguments: [uri] });
    const { hunks, stale } = view;
    const lost =
      stale.length === 1
        ? l10n.t('1 change no longer fits: its lines were edited')
        : l10n.t('{0} changes no longer fit: their lines were edited', stale.length);
    return [
      ...(hunks.length === 0
        ? []
        : [all('acceptAllChanges', `$(check-all) ${l10n.t('Accept all ({0})', hunks.length)}`)]),
      all('rejectAllChanges', `$(close-all) ${l10n.t('Reject all')}`),
      all('compareChanges', `$(diff) ${l10n.t('Compare side by side')}`),
      ...(stale.length === 0
        ? []
        : [new CodeLens(top, { command: '', title: `$(warning) ${lost}` })]),
      ...hunks.flatMap((hunk) => {
        const range = new Range(hunk.line, 0, hunk.line, 0);
        const one = (command: string, title: string): CodeLens =>
          new CodeLens(range, {
            command: `sightline.${command}`,
            title,
            arguments: [uri, hunk.id],
          });
        return [
          one('acceptChange', `$(check) ${l10n.t('Accept {0}', described(hunk))}`),
          one('rejectChange', `$(close) ${l10n.t('Reject')}`),
        ];
      }),
    ];
  }

  dispose(): void {
    for (const one of this.#subscriptions) one.dispose();
  }

  /** The hunk that the cursor is in, or the next one below it. */
  #atCursor(): { page: Uri; id: number } | undefined {
    const editor = window.activeTextEditor;
    const hunks = this.#open.get(editor?.document.uri.toString() ?? '')?.view.hunks;
    if (editor === undefined || hunks === undefined) return undefined;
    const { line } = editor.selection.active;
    const hunk = hunks.find((one) => line < one.line + linesIn(one)) ?? hunks.at(-1);
    return hunk === undefined ? undefined : { page: editor.document.uri, id: hunk.id };
  }

  #fittingIds(page: Uri): ReadonlySet<number> {
    return new Set(this.#open.get(page.toString())?.view.hunks.map(({ id }) => id));
  }

  /** Makes the hunks in the document, as one step of its undo. */
  async #accept(page: Uri, ids: ReadonlySet<number>): Promise<void> {
    const open = this.#open.get(page.toString());
    if (open === undefined) return;
    const { target, proposal } = open;
    const document = await workspace.openTextDocument(target);
    const { hunks } = proposal.view(document.getText());
    const accepted = hunks.filter(({ id }) => ids.has(id));
    if (accepted.length < ids.size) {
      void window.showWarningMessage(
        l10n.t(
          'These lines have been edited since the change was made for them: it no longer fits. Ask for it again.',
        ),
      );
    }
    if (accepted.length === 0) return;
    const lines = linesOf(document.getText());
    const lineEnd = document.eol === EndOfLine.CRLF ? '\r\n' : '\n';
    const edit = new WorkspaceEdit();
    for (const hunk of accepted) {
      const { start, end, text } = editOf(hunk, lines, lineEnd);
      const range = new Range(start.line, start.character, end.line, end.character);
      edit.replace(target, range, text);
    }
    const takeBack = proposal.accept(new Set(accepted.map(({ id }) => id)));
    if (!(await workspace.applyEdit(edit))) {
      takeBack();
      void window.showErrorMessage(
        l10n.t('The document cannot be edited: nothing was changed in it.'),
      );
    }
    await this.#goOn(page, open);
  }

  async #reject(page: Uri, ids: ReadonlySet<number>): Promise<void> {
    const open = this.#open.get(page.toString());
    if (open === undefined) return;
    open.proposal.reject(ids);
    await this.#goOn(page, open);
  }

  /** Shows what is left; where nothing is, the document. */
  async #goOn(page: Uri, { proposal, target }: Open): Promise<void> {
    if (proposal.isOver) {
      await this.#close(page);
      await window.showTextDocument(target);
      return;
    }
    this.#changed(page);
  }

  /** Forgets the proposal. */
  async #close(page: Uri): Promise<void> {
    this.#open.delete(page.toString());
    await window.tabGroups.close(tabsOf(page));
  }

  async #compare(page: Uri): Promise<void> {
    const open = this.#open.get(page.toString());
    if (open === undefined) return;
    const result = page.with({ fragment: resultFragment });
    await commands.executeCommand('vscode.diff', open.target, result);
  }

  #pagesOf(target: Uri): Uri[] {
    return [...this.#open]
      .filter(([, open]) => open.target.toString() === target.toString())
      .map(([page]) => Uri.parse(page));
  }

  #changed(page: Uri): void {
    this.#changes.fire(page);
    this.#changes.fire(page.with({ fragment: resultFragment }));
  }

  /** Where the page shows what its view says: otherwise its new text is on its way. */
  #decorate(): void {
    for (const editor of window.visibleTextEditors) {
      const { document } = editor;
      const view = this.#open.get(document.uri.toString())?.view;
      if (view === undefined || document.lineCount !== view.lines.length) continue;
      const blocks = (of: 'removed' | 'added'): Range[] =>
        view.hunks
          .filter((hunk) => hunk[of].length > 0)
          .map((hunk) => {
            const first = hunk.line + (of === 'added' ? hunk.removed.length : 0);
            return new Range(first, 0, first + hunk[of].length - 1, 0);
          });
      editor.setDecorations(this.#removed, blocks('removed'));
      editor.setDecorations(this.#added, blocks('added'));
    }
    this.#lensChanges.fire();
  }

  /** Puts the cursor at the first change. */
  #reveal(page: Uri): void {
    const first = this.#open.get(page.toString())?.view.hunks[0];
    const editor = window.activeTextEditor;
    if (first === undefined || editor?.document.uri.toString() !== page.toString()) return;
    const at = new Position(first.line, 0);
    editor.selection = new Selection(at, at);
    editor.revealRange(new Range(at, at), TextEditorRevealType.InCenterIfOutsideViewport);
  }
}

/** A page of the proposal's own, with the ending of the document's name, that languages and icons go by. */
function pageOf(target: Uri, number: number): Uri {
  const name = target.path.slice(target.path.lastIndexOf('/') + 1);
  return Uri.from({ scheme, path: `/${l10n.t('Changes of {0}', name)}`, query: String(number) });
}

const tabsOf = (page: Uri): Tab[] =>
  window.tabGroups.all
    .flatMap((group) => group.tabs)
    .filter(
      ({ input }) => input instanceof TabInputText && input.uri.toString() === page.toString(),
    );

const linesIn = ({ removed, added }: OpenHunk): number => removed.length + added.length;

/** "−2 +3" */
const described = ({ removed, added }: OpenHunk): string =>
  [
    ...(removed.length === 0 ? [] : [`\u2212${removed.length}`]),
    ...(added.length === 0 ? [] : [`+${added.length}`]),
  ].join(' ');
