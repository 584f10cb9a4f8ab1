import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  attachmentsOf,
  factsOf,
  messagesOf,
  newConversation,
  titleOf,
  type Conversation,
  type Turn,
} from '../../../../extension/chat/conversation.ts';
import { ConversationStore } from '../../../../extension/chat/store.ts';
import type { ChatAnswer } from '../../../../sidecar/protocol.ts';

const turn = (question: string, answer?: string, state: 'end' | 'failed' = 'end'): Turn => ({
  id: crypto.randomUUID(),
  question,
  attachments: [],
  notes: [],
  ...(answer === undefined ? {} : { answer: { text: answer, state } }),
});

const conversationOf = (...turns: Turn[]): Conversation => ({ ...newConversation(), turns });

const told: ChatAnswer = {
  text: 'Because.',
  toolCalls: [],
  finish: 'end',
  generatedTokens: 3,
  firstTokenSeconds: 0.2,
  decodeTokensPerSecond: 40,
  tiers: [{ name: 'int8', tokens: 100, bytes: 1000 }],
  context: {
    promptTokens: 120,
    reusedTokens: 100,
    contextTokens: 8192,
    files: [{ uri: 'file:///a.ts', source: 'open', tokens: 100, documentTokens: 100 }],
    attachments: [{ uri: 'file:///b.ts', tokens: 5, documentTokens: 9, inCache: false }],
    leftOut: [{ uri: 'file:///c.ts', reason: 'room' }],
    omittedMessages: 1,
  },
};

describe('a conversation', () => {
  it('is told to the model with its last question at the end, and without questions that got no answer', () => {
    const messages = messagesOf([
      turn('one', 'first'),
      turn('two'),
      turn('three', '', 'failed'),
      turn('four', 'half an ans', 'failed'),
      turn('five'),
    ]);
    assert.equal(messages[0]?.role, 'system');
    assert.deepEqual(
      messages.slice(1).map(({ role, content }) => `${role}: ${content}`),
      ['user: one', 'assistant: first', 'user: four', 'assistant: half an ans', 'user: five'],
    );
    assert.deepEqual(messagesOf([]), []);
  });

  it('is about what was attached to any of its questions, the latest first, each once', () => {
    const file = (name: string) => ({ kind: 'file', uri: `file:///${name}` }) as const;
    const part = { kind: 'selection', uri: 'file:///a', lines: { first: 1, last: 2 } } as const;
    const turns = [
      { ...turn('1'), attachments: [file('a'), file('b')] },
      { ...turn('2'), attachments: [part, file('a')] },
    ];
    assert.deepEqual(attachmentsOf(turns), [part, file('a'), file('b')]);
  });

  it('is called by its name, or by its first question', () => {
    assert.equal(titleOf(conversationOf()), '');
    assert.equal(titleOf(conversationOf(turn('  What is this?\nTell me.'))), 'What is this?');
    const long = titleOf(conversationOf(turn('word '.repeat(50))));
    assert.ok(long.length <= 60 && long.endsWith('…'));
    assert.equal(titleOf({ ...conversationOf(turn('x')), name: 'Mine' }), 'Mine');
  });
});

describe('ConversationStore', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sightline-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const open = () => new ConversationStore(folder).open();

  it('keeps conversations whole, the latest first', async () => {
    const { context, ...rest } = factsOf(told);
    const store = new ConversationStore(join(folder, 'new', 'folder'));
    assert.deepEqual(await store.open(), { conversations: [], damaged: [] });
    const older = { ...conversationOf(turn('old', 'x')), changed: 1 };
    const newer: Conversation = {
      ...conversationOf({
        ...turn('new'),
        document: 'file:///a.ts',
        attachments: [{ kind: 'selection', uri: 'file:///b', lines: { first: 1, last: 2 } }],
        answer: { text: 'y', state: 'end', facts: { ...rest, context } },
      }),
      changed: 2,
    };
    await Promise.all([store.save(newer), store.save(older)]);
    const again = await new ConversationStore(join(folder, 'new', 'folder')).open();
    assert.deepEqual(again, { conversations: [newer, older], damaged: [] });
  });

  it('stores all that is known of an answer but its text', () => {
    const { context, tiers, generatedTokens, firstTokenSeconds, decodeTokensPerSecond } = told;
    const known = { context, tiers, generatedTokens, firstTokenSeconds, decodeTokensPerSecond };
    assert.deepEqual(factsOf(told), known);
  });

  it('writes the latest of several states, and deletes', async () => {
    const store = new ConversationStore(folder);
    const one = conversationOf(turn('1'));
    const writes = Array.from({ length: 50 }, (_, i) => store.save({ ...one, name: `name ${i}` }));
    await Promise.all(writes);
    assert.equal((await open()).conversations[0]?.name, 'name 49');
    const saving = store.save({ ...one, name: 'late' });
    await Promise.all([saving, store.delete(one.id)]);
    assert.deepEqual(await readdir(folder), []);
  });

  it('sets a damaged file aside, whatever is wrong with it, and loses nothing else', async () => {
    const good = conversationOf(turn('kept', 'yes'));
    await new ConversationStore(folder).save(good);
    const whole = await readFile(join(folder, `${good.id}.json`), 'utf8');
    const other = crypto.randomUUID();
    const bad: Record<string, string> = {
      'cut.json': whole.slice(0, whole.length / 2),
      'empty.json': '',
      'binary.json': '\0\u0001\u0002',
      'list.json': '[1, 2]',
      'null.json': 'null',
      'version.json': whole.replace('"version":1', '"version":2'),
      // A whole conversation under another one's name.
      [`${other}.json`]: whole,
      'type.json': whole.replace('"question":"kept"', '"question":7'),
    };
    for (const [name, text] of Object.entries(bad)) await writeFile(join(folder, name), text);
    const { conversations, damaged } = await open();
    assert.deepEqual(conversations, [good]);
    assert.deepEqual(
      [...damaged].sort(),
      Object.keys(bad)
        .map((name) => `${join(folder, name)}.damaged`)
        .sort(),
    );
    assert.equal(await readFile(join(folder, 'list.json.damaged'), 'utf8'), '[1, 2]');
    // Said once: the next time there is nothing to say.
    assert.deepEqual(await open(), { conversations: [good], damaged: [] });
  });

  it('clears away what a write left behind, and leaves other files alone', async () => {
    const good = conversationOf(turn('kept'));
    await new ConversationStore(folder).save(good);
    await writeFile(join(folder, `${good.id}.json.tmp`), '{"half":');
    await writeFile(join(folder, 'notes.txt'), 'mine');
    assert.deepEqual((await open()).conversations, [good]);
    assert.deepEqual((await readdir(folder)).sort(), [`${good.id}.json`, 'notes.txt'].sort());
  });

  it('takes an answer that was being written as one that was stopped', async () => {
    const asked = conversationOf({ ...turn('x'), answer: { text: 'half', state: 'running' } });
    await new ConversationStore(folder).save(asked);
    const [found] = (await open()).conversations;
    assert.deepEqual(found?.turns[0]?.answer, { text: 'half', state: 'stopped' });
  });

  it('fails where it cannot write, and writes again when it can', async () => {
    const store = new ConversationStore(join(folder, 'conversations'));
    await writeFile(join(folder, 'conversations'), 'a file in the way');
    const one = conversationOf(turn('x'));
    await assert.rejects(store.open());
    await assert.rejects(store.save(one));
    await rm(join(folder, 'conversations'));
    await store.open();
    await store.save(one);
    assert.deepEqual((await store.open()).conversations, [one]);
  });
});
