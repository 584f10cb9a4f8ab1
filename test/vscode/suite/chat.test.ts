import assert from 'node:assert/strict';
import path from 'node:path';
import * as vscode from 'vscode';
import type { Answer, Turn } from '../../../extension/chat/conversation.ts';
import type { ChatMessages, Obstacle } from '../../../extension/chat/messages.ts';
import { closeEditors, openText, ready, until, type SightlineApi } from './sightline.ts';

type ToPage = ChatMessages['toPage'];

const code =
  'function add(a, b) {\n  return a + b;\n}\n\nfunction subtract(a, b) {\n  return a - b;\n}\n';

describe('chat', () => {
  let api: SightlineApi;
  /** What the page would have heard. */
  let heard: ToPage[] = [];
  /** Called with the first text of the next answer. */
  let onText: (() => void) | undefined;

  const page = {
    tell: (message: ToPage): void => {
      heard.push(message);
      if (message.kind !== 'text') return;
      onText?.();
      onText = undefined;
    },
    entitle: (): void => undefined,
  };

  before(async () => {
    api = await ready();
    await vscode.commands.executeCommand('sightline.focusChat');
    await until('a model that can chat', () => api.chat().obstacle === 'none' || undefined);
  });
  beforeEach(() => {
    heard = [];
    api.chat().connect(page);
    api.chat().start();
  });
  afterEach(closeEditors);
  after(async () => {
    for (const { id } of api.chat().conversations) api.chat().delete(id);
    await vscode.commands.executeCommand('workbench.action.closeSidebar');
  });

  const say = (message: ChatMessages['fromPage']): Promise<void> => {
    // The view's own page may have come meanwhile.
    api.chat().connect(page);
    return api.chat().receive(message);
  };
  const lastTurn = (): Turn => {
    const turn = api.chat().conversation.turns.at(-1);
    assert(turn !== undefined, 'there is no question');
    return turn;
  };
  const lastAnswer = (): Answer => {
    const { answer } = lastTurn();
    assert(answer !== undefined, 'there is no answer');
    return answer;
  };
  const ask = async (question: string): Promise<Answer> => {
    await say({ kind: 'send', question });
    return lastAnswer();
  };
  const settled = (answer: Answer): void => {
    assert.match(answer.state, /^(?:end|length|context)$/, answer.message);
  };
  /** Stops the answer when it has some text; it may come to its end before. */
  async function stopEarly(asking: () => Promise<void>): Promise<Answer> {
    onText = () => void say({ kind: 'stop' });
    await asking();
    onText = undefined;
    return lastAnswer();
  }
  const askAndStop = (question: string): Promise<Answer> =>
    stopEarly(() => say({ kind: 'send', question }));

  it('answers about a long file that is open from what is in the cache of it', async () => {
    const fullFile = process.env['SIGHTLINE_FULL_FILE'];
    assert(fullFile !== undefined);
    const document = await vscode.workspace.openTextDocument(fullFile);
    await vscode.window.showTextDocument(document);
    const uri = document.uri.toString();
    // The file goes into the cache while nothing happens, as soon as anything was completed in it; VS Code
    // asks for completions from some seconds after its first editor on.
    let askedAt = 0;
    await until('the file in the cache', () => {
      if (api.stats()?.inSight?.uri !== uri && Date.now() - askedAt > 3000) {
        askedAt = Date.now();
        void vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
      }
      const seen = api.stats()?.inSight?.files.find((file) => file.uri === uri);
      return seen !== undefined && seen.tokens > 4000 ? true : undefined;
    });
    await askAndStop('What does this file do?');
    const whole = await ask('And why?');
    settled(whole);
    assert(whole.facts !== undefined && whole.text !== '');
    const { context, firstTokenSeconds, tiers } = whole.facts;
    const file = context.files.find((one) => one.uri === uri);
    assert(file !== undefined && file.tokens > 2000, JSON.stringify(context));
    // What was evaluated for completions is not evaluated again.
    assert(context.reusedTokens >= file.tokens - 128, JSON.stringify(context));
    assert(firstTokenSeconds > 0 && tiers.length > 0);
    // What the page heard of the answer is the answer.
    const { id } = lastTurn();
    const pieces = heard.flatMap((one) =>
      one.kind === 'text' && one.turn === id ? [one.text] : [],
    );
    assert(pieces.length > 0);
    assert.equal(pieces.join('').trim(), whole.text.trim());
    const last = heard.at(-1);
    assert(last?.kind === 'answer' && last.answer.state === whole.state);
  });

  it('stops, and keeps what was written', async () => {
    let answer = await askAndStop('Write a long program.');
    while (answer.state !== 'stopped') answer = await askAndStop('Go on, at length.');
    assert(answer.text.length > 0);
    await until('idle', () => api.status()?.state === 'ready' || undefined);
  });

  it('edits a question, answers again, and brings back what that took away', async () => {
    await askAndStop('First question');
    await askAndStop('Second question');
    const before = structuredClone(api.chat().conversation.turns);
    const [first] = before;
    assert(first !== undefined);
    await say({ kind: 'edit', turn: first.id });
    assert(heard.some((one) => one.kind === 'question' && one.question === 'First question'));
    await askAndStop('Another question');
    assert.deepEqual(
      api.chat().conversation.turns.map(({ question }) => question),
      ['Another question'],
    );
    await say({ kind: 'undo' });
    assert.deepEqual(api.chat().conversation.turns, before);
    await stopEarly(() => say({ kind: 'regenerate', turn: lastTurn().id }));
    assert.equal(api.chat().conversation.turns.length, 2);
    assert.equal(lastTurn().question, 'Second question');
    assert.notEqual(lastTurn().id, before[1]?.id);
  });

  it('attaches files that a question names, a selection and a folder, with what they cost', async () => {
    const editor = await openText(code, 'javascript');
    editor.selection = new vscode.Selection(0, 0, 2, 1);
    await vscode.commands.executeCommand('sightline.addToChat');
    await say({ kind: 'attachPath', path: 'ajv/compile/' });
    const draft = await until('the costs', () => {
      const last = heard.findLast((one) => one.kind === 'draft')?.draft;
      return last?.chips.length === 2 && last.chips.every(({ tokens }) => tokens !== undefined)
        ? last
        : undefined;
    });
    const [selection, folder] = draft.chips;
    assert(selection?.kind === 'selection' && selection.name.endsWith(':1-3'));
    assert((selection.tokens ?? 0) > 5);
    assert(folder?.files !== undefined && folder.files.taken > 0);
    assert((folder.tokens ?? 0) <= (draft.contextTokens ?? 0) / 2);
    await askAndStop('Compare #ajv/compile/rules.ts with #no/such/file.ts, not C# or #12');
    const { attachments, notes } = lastTurn();
    assert.deepEqual(attachments.map(({ kind, uri }) => [kind, path.basename(uri)]).slice(1), [
      ['folder', 'compile'],
      ['file', 'rules.ts'],
    ]);
    assert.equal(notes.length, 1);
    assert.match(notes[0] ?? '', /no\/such\/file\.ts/);
  });

  it('says what became of an attachment', async () => {
    await say({ kind: 'useDocument', on: false });
    await say({ kind: 'attachPath', path: 'ajv/compile/rules.ts' });
    const answer = await ask('What is this?');
    settled(answer);
    const seen = answer.facts?.context.attachments ?? [];
    assert.deepEqual(
      seen.map(({ uri }) => path.basename(uri)),
      ['rules.ts'],
    );
    assert((seen[0]?.tokens ?? 0) > 100);
    assert.equal(lastTurn().document, undefined);
  });

  it('finds files for what is typed behind #', async () => {
    for (const [query, expected] of [
      ['rules', 'ajv/compile/rules.ts'],
      ['RULES', 'ajv/compile/rules.ts'],
      ['ajv/ru', 'ajv/compile/rules.ts'],
      ['compile', 'ajv/compile/'],
    ] as const) {
      await say({ kind: 'find', query });
      const found = heard.findLast((one) => one.kind === 'found');
      assert.equal(found?.query, query);
      const paths = found.paths.map((one) => one.path);
      assert(paths.includes(expected), `${query}: ${paths.join(', ')}`);
    }
    await say({ kind: 'find', query: 'zzzznothing' });
    const found = heard.findLast((one) => one.kind === 'found');
    assert.deepEqual(found?.paths, []);
  });

  it('inserts code at the cursor, to be undone', async () => {
    const editor = await openText('before\n\nafter\n', 'javascript');
    const cursor = new vscode.Position(1, 0);
    editor.selection = new vscode.Selection(cursor, cursor);
    await say({ kind: 'insert', code: 'const x = 1;' });
    assert.equal(editor.document.getText(), 'before\nconst x = 1;\nafter\n');
    await vscode.commands.executeCommand('undo');
    assert.equal(editor.document.getText(), 'before\n\nafter\n');
  });

  it('copies code', async () => {
    await say({ kind: 'copy', code: 'const copied = 1;' });
    assert.equal(await vscode.env.clipboard.readText(), 'const copied = 1;');
  });

  it('applies code to a document when that is accepted, and not before', async () => {
    const { document } = await openText(code, 'javascript');
    const proposed = 'function add(a, b) {\n  return Number(a) + Number(b);\n}\n';
    await say({ kind: 'apply', code: proposed, info: 'js', turn: '' });
    assert.equal(document.getText(), code);
    await vscode.commands.executeCommand('sightline.rejectAllChanges');
    assert.equal(document.getText(), code);

    await vscode.window.showTextDocument(document);
    await say({ kind: 'apply', code: proposed, info: 'js', turn: '' });
    assert.equal(document.getText(), code);
    await vscode.commands.executeCommand('sightline.acceptAllChanges');
    assert.equal(document.getText(), code.replace('return a + b', 'return Number(a) + Number(b)'));
    await vscode.window.showTextDocument(document);
    await vscode.commands.executeCommand('undo');
    assert.equal(document.getText(), code);
  });

  it('keeps conversations over a restart, with their names', async () => {
    await askAndStop('Is this kept?');
    const kept = structuredClone(api.chat().conversation);
    api.chat().rename(kept.id, 'A kept one');
    api.chat().start();
    await askAndStop('To be deleted');
    api.chat().delete(api.chat().conversation.id);
    await api.chat().open();
    const { conversations } = api.chat();
    const same = conversations.find(({ id }) => id === kept.id);
    assert.equal(same?.name, 'A kept one');
    assert.deepEqual(same.turns, kept.turns);
    assert(!conversations.some(({ turns }) => turns[0]?.question === 'To be deleted'));
  });

  it('keeps the question and what was written when the sidecar dies, and answers again', async () => {
    const pid = api.sidecarPid();
    assert(pid !== undefined);
    // It may be answered before the sidecar is dead: then the next one is not.
    const kill = (): void => void process.kill(pid, 'SIGKILL');
    onText = kill;
    await ask('Will this be answered?');
    if (lastAnswer().state !== 'failed') await ask('Will this be answered?');
    const { question, answer, id } = lastTurn();
    assert.equal(question, 'Will this be answered?');
    assert(answer?.state === 'failed');
    assert.match(answer.message ?? '', /sidecar stopped/);
    await until('another sidecar', () => {
      const now = api.sidecarPid();
      return now !== undefined && now !== pid ? true : undefined;
    });
    await ready();
    const again = await stopEarly(() => say({ kind: 'regenerate', turn: id }));
    assert.match(again.state, /^(?:stopped|end)$/, again.message);
  });

  it('tells the page that there is no model, or one that has no template', async () => {
    const use = (model: string): Thenable<unknown> =>
      vscode.commands.executeCommand('sightline.chooseModel', model);
    const told = async (obstacle: Obstacle): Promise<string> => {
      await until(
        `the chat to be ${obstacle}`,
        () => api.chat().obstacle === obstacle || undefined,
      );
      heard = [];
      // It may have been the view's own page that was told.
      await say({ kind: 'ready' });
      const message = heard.find(({ kind }) => kind === 'obstacle');
      assert(message?.kind === 'obstacle' && message.obstacle === obstacle);
      return message.model;
    };
    const withoutTemplate = process.env['SIGHTLINE_MODEL_WITHOUT_TEMPLATE'];
    assert(withoutTemplate !== undefined);
    await openText(code);
    try {
      await use(withoutTemplate);
      assert.notEqual(await told('noTemplate'), '');
      await use('/nobody/has/this.gguf');
      await told('noModel');
    } finally {
      await use('');
    }
    await told('none');
    await ready();
  });
});
