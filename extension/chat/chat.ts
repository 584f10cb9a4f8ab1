import {
  CancellationTokenSource,
  commands,
  env,
  l10n,
  Range,
  Selection,
  Uri,
  window,
  workspace,
  type TextEditor,
} from 'vscode';
import type { ChatProgress } from '../../sidecar/protocol.ts';
import type { Answers } from '../answers.ts';
import { schemes } from '../client.ts';
import {
  attachmentsOf,
  factsOf,
  keyOf,
  messagesOf,
  newConversation,
  titleOf,
  type Answer,
  type Attachment,
  type Conversation,
  type Turn,
} from './conversation.ts';
import { Costs } from './costs.ts';
import { findPaths, pathOf, resolvePath } from './files.ts';
import { looksLikeFile, parseMentions } from './mentions.ts';
import type { ChatMessages, Obstacle, PageTurn } from './messages.ts';
import { placeCode } from './placement.ts';
import type { ConversationStore } from './store.ts';

type FromPage = ChatMessages['fromPage'];
type ToPage = ChatMessages['toPage'];

/** How often an answer that is being written is saved, in milliseconds. */
const saveEveryMs = 2000;
/** The share of the context that a folder may take. */
const folderShare = 0.5;
/** Before a model is known. */
const guessedContext = 8192;

export interface ChatParts {
  readonly answers: Answers;
  readonly store: ConversationStore;
  /** Shows a change of a document, to be accepted or not; false where there is none. */
  readonly propose: (target: Uri, before: string, after: string) => Promise<boolean>;
}

/** What draws the chat, while it is in sight. */
export interface ChatPage {
  tell(message: ToPage): void;
  /** Shows the title of the conversation. */
  entitle(title: string): void;
}

/** The conversations of a workspace: the one in sight, what the next question has with it, and answers as they come. */
export class Chat {
  readonly #parts: ChatParts;
  readonly #costs: Costs;
  readonly #conversations = new Map<string, Conversation>();
  #current = newConversation();
  /** How to stop the answers that are being written, by turn. */
  readonly #running = new Map<string, CancellationTokenSource>();
  /** As it was before a question was edited or answered again. */
  #before: Conversation | undefined;
  #attached: Attachment[] = [];
  #editing: string | undefined;
  #usesDocument = true;
  #editor: TextEditor | undefined;
  #contextTokens: number | undefined;
  #obstacle: Obstacle = 'loading';
  #model = '';
  #page: ChatPage | undefined;
  /** Of what is under way for the page: each is given up for the next of its kind. */
  readonly #under = new Map<'draft' | 'find' | 'model', CancellationTokenSource>();
  #saidUnsaved = false;

  constructor(parts: ChatParts) {
    this.#parts = parts;
    this.#costs = new Costs(parts.answers);
    this.editorChanged(window.activeTextEditor);
  }

  get obstacle(): Obstacle {
    return this.#obstacle;
  }

  /** The conversation in sight. */
  get conversation(): Conversation {
    return this.#current;
  }

  /** The latest first; the one in sight is among them once it has a question. */
  get conversations(): Conversation[] {
    return [...this.#conversations.values()].sort((a, b) => b.changed - a.changed);
  }

  /** Reads what is kept, and goes on with the conversation in sight or the latest. */
  async open(): Promise<void> {
    try {
      const { conversations, damaged } = await this.#parts.store.open();
      for (const one of conversations) this.#conversations.set(one.id, one);
      const next = this.#conversations.get(this.#current.id) ?? conversations[0];
      if (next !== undefined) this.#goTo(next);
      if (damaged.length > 0) {
        void window.showWarningMessage(
          l10n.t(
            'A conversation could not be read, and was set aside: {0}. The others are as they were.',
            damaged.join(', '),
          ),
        );
      }
    } catch (error) {
      this.#sayUnsaved(error);
    }
  }

  /** Draws on `page` from now on, once that says it is ready; undefined: there is none. */
  connect(page: ChatPage | undefined): void {
    this.#page = page;
  }

  /** The model may be another one, or there may be none. */
  async modelChanged(state: 'loading' | 'none' | 'ready'): Promise<void> {
    if (state !== 'ready') {
      this.#stand(state === 'loading' ? 'loading' : 'noModel', this.#model);
      return;
    }
    const token = this.#next('model');
    const model = await this.#parts.answers.model(token);
    if (token.isCancellationRequested) return;
    if (model === null) {
      this.#stand('noModel', '');
      return;
    }
    this.#contextTokens = model.contextTokens;
    this.#costs.forget();
    this.#stand(model.canChat ? 'none' : 'noTemplate', model.name);
    this.drawDraft();
  }

  editorChanged(editor: TextEditor | undefined): void {
    // A view that has the focus leaves no editor active: the one before stays in use.
    if (editor === undefined && this.#editor && !this.#editor.document.isClosed) return;
    // Pages and proposals of ours, and output, are no documents that one works in.
    if (editor !== undefined && !schemes.includes(editor.document.uri.scheme)) return;
    this.#editor = editor;
    this.drawDraft();
  }

  async receive(message: FromPage): Promise<void> {
    switch (message.kind) {
      case 'ready':
        this.#drawAll();
        return;
      case 'send':
        await this.ask(message.question);
        return;
      case 'stop':
        this.stop();
        return;
      case 'regenerate': {
        const turn = this.#turn(message.turn);
        if (turn !== undefined) await this.#answerAgain({ ...turn });
        return;
      }
      case 'edit': {
        const turn = this.#turn(message.turn);
        if (turn === undefined) return;
        this.#editing = turn.id;
        this.#attached = [...turn.attachments];
        this.#usesDocument = turn.document !== undefined;
        this.#page?.tell({ kind: 'question', question: turn.question });
        this.drawDraft();
        return;
      }
      case 'cancelEdit':
        this.#clearDraft();
        this.#page?.tell({ kind: 'question', question: '' });
        return;
      case 'undo':
        this.#undo();
        return;
      case 'copy':
        await env.clipboard.writeText(message.code);
        this.#page?.tell({ kind: 'said', what: 'copied' });
        return;
      case 'insert':
        await this.#insert(message.code);
        return;
      case 'apply':
        await this.#apply(message.code, message.info, message.turn);
        return;
      case 'find': {
        const token = this.#next('find');
        const paths = await findPaths(message.query, token);
        if (token.isCancellationRequested) return;
        this.#page?.tell({ kind: 'found', query: message.query, paths });
        return;
      }
      case 'attach':
        if (message.what === 'selection') this.attachSelection();
        else await this.#pick(message.what === 'folder');
        return;
      case 'attachPath': {
        const resolved = await resolvePath(message.path);
        if (resolved !== undefined) {
          this.attach({ kind: resolved.kind, uri: resolved.uri.toString() });
        }
        return;
      }
      case 'detach':
        this.#attached = this.#attached.filter((one) => keyOf(one) !== message.key);
        this.drawDraft();
        return;
      case 'useDocument':
        this.#usesDocument = message.on;
        this.drawDraft();
        return;
      case 'open':
        await this.#openAttachment(message.key);
        return;
      case 'settings':
        await commands.executeCommand('workbench.action.openSettings', 'sightline.model.path');
        return;
      case 'restart':
        await commands.executeCommand('sightline.restart');
        return;
    }
  }

  /** Asks, in place of the question that is edited where one is. Resolves when it is answered. */
  async ask(question: string): Promise<void> {
    if (question.trim() === '' || this.#runs(this.#current)) return;
    const { attachments, notes } = await this.#mentioned(question);
    const document = this.#usesDocument ? this.#editor?.document.uri.toString() : undefined;
    const turn: Turn = {
      id: this.#editing ?? crypto.randomUUID(),
      question,
      attachments: [...this.#attached, ...attachments],
      ...(document === undefined ? {} : { document }),
      notes,
    };
    const isEdited = this.#editing !== undefined;
    this.#clearDraft();
    if (isEdited) {
      await this.#answerAgain(turn);
      return;
    }
    this.#before = undefined;
    this.#current.turns.push(turn);
    this.#conversations.set(this.#current.id, this.#current);
    await this.#answer(this.#current, turn);
  }

  /** Ends the answer of the conversation in sight; what is written of it stays. */
  stop(): void {
    for (const { id } of this.#current.turns) this.#running.get(id)?.cancel();
  }

  /** An empty conversation. */
  start(): void {
    if (this.#current.turns.length > 0) this.#goTo(newConversation());
    this.#page?.tell({ kind: 'focus' });
  }

  show(id: string): void {
    const conversation = this.#conversations.get(id);
    if (conversation !== undefined) this.#goTo(conversation);
  }

  rename(id: string, name: string): void {
    const conversation = this.#conversations.get(id);
    if (conversation === undefined) return;
    conversation.name = name.trim();
    this.#save(conversation);
    if (conversation === this.#current) this.#drawConversation();
  }

  delete(id: string): void {
    const conversation = this.#conversations.get(id);
    if (conversation === undefined) return;
    for (const turn of conversation.turns) this.#running.get(turn.id)?.cancel();
    this.#conversations.delete(id);
    this.#parts.store.delete(id).catch((error: unknown) => {
      this.#sayUnsaved(error);
    });
    if (conversation === this.#current) this.#goTo(newConversation());
  }

  attach(attachment: Attachment): void {
    const others = this.#attached.filter((one) => keyOf(one) !== keyOf(attachment));
    this.#attached = [...others, attachment];
    this.drawDraft();
    this.#page?.tell({ kind: 'focus' });
  }

  /** The selected lines of the editor in use; without a selection the whole file. */
  attachSelection(): void {
    const editor = this.#editor;
    if (editor === undefined) {
      void window.showInformationMessage(l10n.t('Open a file to add it to the chat.'));
      return;
    }
    const uri = editor.document.uri.toString();
    const { selection } = editor;
    if (selection.isEmpty) {
      this.attach({ kind: 'file', uri });
      return;
    }
    const { start, end } = selection;
    const last = end.character === 0 && end.line > start.line ? end.line - 1 : end.line;
    this.attach({ kind: 'selection', uri, lines: { first: start.line, last } });
  }

  /** Shows what the next question has with it, first without what it costs. */
  drawDraft(): void {
    if (this.#page === undefined) return;
    const token = this.#next('draft');
    const attached = this.#attached;
    const draw = (chips: readonly ReturnType<Costs['chip']>[]): void => {
      const document = this.#editor?.document;
      this.#page?.tell({
        kind: 'draft',
        draft: {
          chips,
          ...(document === undefined
            ? {}
            : {
                document: {
                  name: pathOf(document.uri).replace(/^.*\//u, ''),
                  path: pathOf(document.uri),
                  on: this.#usesDocument,
                },
              }),
          ...(this.#editing === undefined ? {} : { editing: this.#editing }),
          ...(this.#contextTokens === undefined ? {} : { contextTokens: this.#contextTokens }),
        },
      });
    };
    draw(attached.map((one) => this.#costs.chip(one)));
    if (attached.length === 0 || this.#obstacle !== 'none') return;
    void Promise.all(
      attached.map((one) => this.#costs.priced(one, this.#folderBudget, token)),
    ).then(
      (chips) => {
        if (!token.isCancellationRequested) draw(chips);
      },
      () => undefined,
    );
  }

  get #folderBudget(): number {
    return (this.#contextTokens ?? guessedContext) * folderShare;
  }

  #turn(id: string): Turn | undefined {
    return this.#current.turns.find((turn) => turn.id === id);
  }

  #runs(conversation: Conversation): boolean {
    return conversation.turns.some(({ id }) => this.#running.has(id));
  }

  /** A token for what is under way from now on; what was before it is given up. */
  #next(what: 'draft' | 'find' | 'model'): CancellationTokenSource['token'] {
    this.#under.get(what)?.cancel();
    const source = new CancellationTokenSource();
    this.#under.set(what, source);
    return source.token;
  }

  /** The files that a question names, and the names of none. */
  async #mentioned(question: string): Promise<{ attachments: Attachment[]; notes: string[] }> {
    const attachments: Attachment[] = [];
    const notes: string[] = [];
    for (const { path, lines } of parseMentions(question)) {
      const resolved = await resolvePath(path);
      if (resolved === undefined) {
        if (looksLikeFile(path))
          notes.push(l10n.t('There is no file {0} in this workspace.', path));
        continue;
      }
      const uri = resolved.uri.toString();
      const attachment: Attachment =
        resolved.kind === 'file' && lines !== undefined
          ? { kind: 'selection', uri, lines }
          : { kind: resolved.kind, uri };
      const isThere = [...this.#attached, ...attachments].some(
        (one) => keyOf(one) === keyOf(attachment),
      );
      if (!isThere) attachments.push(attachment);
    }
    return { attachments, notes };
  }

  /** Answers a turn that there was, as it is given; those behind it go, until that is taken back. */
  async #answerAgain(turn: Turn): Promise<void> {
    const conversation = this.#current;
    const index = conversation.turns.findIndex(({ id }) => id === turn.id);
    if (index === -1 || this.#runs(conversation)) return;
    this.#before = structuredClone(conversation);
    const asked: Turn = { ...turn, id: crypto.randomUUID() };
    delete asked.answer;
    conversation.turns.splice(index, Infinity, asked);
    await this.#answer(conversation, asked);
  }

  #undo(): void {
    if (this.#before?.id !== this.#current.id) return;
    this.stop();
    const restored = this.#before;
    this.#before = undefined;
    this.#conversations.set(restored.id, restored);
    this.#save(restored);
    this.#goTo(restored);
  }

  async #answer(conversation: Conversation, turn: Turn): Promise<void> {
    const source = new CancellationTokenSource();
    const answer: Answer = { text: '', state: 'running' };
    turn.answer = answer;
    this.#running.set(turn.id, source);
    this.#save(conversation);
    if (conversation === this.#current) this.#drawConversation();
    const saving = setInterval(() => {
      this.#save(conversation);
    }, saveEveryMs);
    try {
      const asked = attachmentsOf(conversation.turns);
      const answered = await this.#parts.answers.ask(
        {
          messages: messagesOf(conversation.turns),
          attachments: await this.#costs.expanded(asked, this.#folderBudget, source.token),
          ...(turn.document === undefined ? {} : { uri: turn.document }),
        },
        source.token,
        (progress) => {
          this.#heard(conversation, turn.id, answer, progress);
        },
      );
      switch (answered.kind) {
        case 'answer':
          answer.text = answered.answer.text;
          answer.state = answered.answer.finish;
          answer.facts = factsOf(answered.answer);
          break;
        case 'cancelled':
          answer.state = 'stopped';
          break;
        case 'failed':
          answer.state = 'failed';
          answer.message = answered.message;
      }
    } catch (error) {
      answer.state = 'failed';
      answer.message = error instanceof Error ? error.message : String(error);
    } finally {
      clearInterval(saving);
      source.dispose();
      this.#running.delete(turn.id);
      this.#save(conversation);
      if (conversation === this.#current)
        this.#page?.tell({ kind: 'answer', turn: turn.id, answer });
    }
  }

  #heard(conversation: Conversation, turn: string, answer: Answer, progress: ChatProgress): void {
    if (progress.kind === 'text') answer.text += progress.text;
    if (conversation !== this.#current) return;
    this.#page?.tell({ ...progress, turn });
  }

  #goTo(conversation: Conversation): void {
    this.#current = conversation;
    this.#clearDraft();
    this.#drawConversation();
  }

  #clearDraft(): void {
    this.#attached = [];
    this.#editing = undefined;
    this.#usesDocument = true;
    this.drawDraft();
  }

  #drawAll(): void {
    this.#stand(this.#obstacle, this.#model);
    this.#drawConversation();
    this.drawDraft();
  }

  #stand(obstacle: Obstacle, model: string): void {
    this.#obstacle = obstacle;
    this.#model = model;
    this.#page?.tell({ kind: 'obstacle', obstacle, model });
  }

  #drawConversation(): void {
    const { id, turns } = this.#current;
    const title = titleOf(this.#current);
    this.#page?.entitle(title);
    this.#page?.tell({
      kind: 'conversation',
      id,
      title,
      canUndo: this.#before?.id === id,
      turns: turns.map((turn): PageTurn => ({
        ...turn,
        chips: turn.attachments.map((one) => this.#costs.chip(one)),
      })),
    });
  }

  /** Unless it was deleted, or brought back as it was before, meanwhile. */
  #save(conversation: Conversation): void {
    if (this.#conversations.get(conversation.id) !== conversation) return;
    conversation.changed = Date.now();
    this.#parts.store.save(conversation).catch((error: unknown) => {
      this.#sayUnsaved(error);
    });
  }

  /** Once: conversations go on without being kept. */
  #sayUnsaved(error: unknown): void {
    if (this.#saidUnsaved) return;
    this.#saidUnsaved = true;
    const why = error instanceof Error ? error.message : String(error);
    void window.showWarningMessage(
      l10n.t('Conversations cannot be kept: {0}. They are lost when the window is closed.', why),
    );
  }

  /** Puts code at the cursor, in place of what is selected there, as an edit that can be undone. */
  async #insert(code: string): Promise<void> {
    const editor = this.#editorInSight();
    if (editor === undefined) {
      void window.showInformationMessage(l10n.t('Open a file to insert the code into.'));
      return;
    }
    const { selection } = editor;
    const done = await editor.edit((edit) => {
      edit.replace(selection, code);
    });
    if (done) this.#page?.tell({ kind: 'said', what: 'inserted' });
    else void window.showErrorMessage(l10n.t('The document cannot be edited.'));
  }

  /** Shows what the code makes of the file that it is for: nothing is written before that is accepted. */
  async #apply(code: string, info: string, turn: string): Promise<void> {
    const [, ...words] = info.split(/[\s:,{}=]+/u);
    const named = (await Promise.all(words.filter(looksLikeFile).map(resolvePath))).find(
      (one) => one?.kind === 'file',
    );
    const editor = this.#editorInSight();
    const asked = this.#turn(turn)?.document;
    const target =
      named?.uri ?? editor?.document.uri ?? (asked === undefined ? undefined : Uri.parse(asked));
    if (target === undefined) {
      void window.showInformationMessage(l10n.t('Open the file that the code is for.'));
      return;
    }
    const document = await workspace.openTextDocument(target);
    const before = document.getText();
    const selection =
      editor?.document === document
        ? editor.selection
        : new Selection(document.lineCount, 0, document.lineCount, 0);
    const place = placeCode(before, code, {
      start: document.offsetAt(selection.start),
      end: document.offsetAt(selection.end),
    });
    const after = before.slice(0, place.start) + place.text + before.slice(place.end);
    if (!(await this.#parts.propose(target, before, after))) {
      void window.showInformationMessage(l10n.t('The code is already in {0}.', pathOf(target)));
    }
  }

  /** The editor in use, where it still shows its document. */
  #editorInSight(): TextEditor | undefined {
    const uri = this.#editor?.document.uri.toString();
    return window.visibleTextEditors.find(({ document }) => document.uri.toString() === uri);
  }

  async #pick(folder: boolean): Promise<void> {
    const roots = workspace.workspaceFolders ?? [];
    const picked = await window.showOpenDialog({
      canSelectFiles: !folder,
      canSelectFolders: folder,
      canSelectMany: true,
      openLabel: l10n.t('Add to Chat'),
      ...(roots[0] === undefined ? {} : { defaultUri: roots[0].uri }),
    });
    for (const uri of picked ?? []) this.attachUri(uri, folder ? 'folder' : 'file');
  }

  attachUri(uri: Uri, kind: 'file' | 'folder'): void {
    this.attach({ kind, uri: uri.toString() });
  }

  async #openAttachment(key: string): Promise<void> {
    const all = [...this.#attached, ...attachmentsOf(this.#current.turns)];
    const attachment = all.find((one) => keyOf(one) === key);
    if (attachment === undefined) return;
    const uri = Uri.parse(attachment.uri);
    if (attachment.kind === 'folder') {
      await commands.executeCommand('revealInExplorer', uri);
      return;
    }
    const { lines } = attachment;
    const selection = lines && new Range(lines.first, 0, lines.last + 1, 0);
    await window.showTextDocument(uri, selection === undefined ? {} : { selection });
  }
}
