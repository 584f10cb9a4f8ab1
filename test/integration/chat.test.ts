import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CancellationTokenSource,
  InlineCompletionTriggerKind,
  LSPErrorCodes,
} from 'vscode-languageserver/node';
import {
  CacheStatsRequest,
  ChatProgressNotification,
  ChatRequest,
  ClearCacheRequest,
  CountTokensRequest,
  MeasureCacheRequest,
  MemoryForecastRequest,
  ModelRequest,
  type ChatAnswer,
  type ChatParams,
  type ChatProgress,
} from '../../sidecar/protocol.ts';
import { endOf, settings, source, startSidecar, stopSidecar, type Sidecar } from './support.ts';

const uri = 'file:///project/src/app.ts';
const other = 'file:///project/src/other.ts';
const text = source(60);

const question = (content: string, more: Partial<ChatParams> = {}): ChatParams => ({
  ...{ id: 'one', messages: [{ role: 'user', content }], attachments: [], uri },
  ...{ maxTokens: 100, temperature: 0 },
  ...more,
});

describe('conversations, beside completions', () => {
  let sidecar: Sidecar;
  const told: ChatProgress[] = [];
  let onProgress: (news: ChatProgress) => void = () => undefined;
  const ask = (params: ChatParams): Promise<ChatAnswer> =>
    sidecar.client.connection.sendRequest(ChatRequest, params);
  const textOf = (id: string): string =>
    told.map((news) => (news.id === id && news.kind === 'text' ? news.text : '')).join('');

  before(async () => {
    sidecar = startSidecar();
    const { connection } = sidecar.client;
    connection.onNotification(ChatProgressNotification, (news) => {
      told.push(news);
      onProgress(news);
    });
    await sidecar.client.initialize(settings);
    await sidecar.client.open(uri, text);
    await sidecar.client.open(other, 'export const other = 1;\n'.repeat(60));
  });
  after(async () => {
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  it('says what the model is, and what texts cost', async () => {
    const { connection } = sidecar.client;
    const model = await connection.sendRequest(ModelRequest);
    assert.ok(model !== null && model.canChat && model.canFillInTheMiddle);
    assert.equal(model.contextTokens, 8192);
    const [none, one, all] = await connection.sendRequest(CountTokensRequest, {
      texts: ['', ' = 1;\n', text],
    });
    assert.ok(none === 0 && one !== undefined && one > 0 && one < 6);
    assert.ok(all !== undefined && all > 300 && all < text.length);
  });

  it('answers with the open files in sight, and shows them to completions without evaluating them again', async () => {
    const answer = await ask(question('What does add3 return?'));
    assert.equal(textOf('one'), answer.text);
    assert.ok(answer.generatedTokens > 0 && answer.firstTokenSeconds > 0);
    const { context } = answer;
    assert.deepEqual(context.files.map((file) => file.uri).sort(), [uri, other]);
    for (const file of context.files) assert.equal(file.tokens, file.documentTokens);
    assert.deepEqual(context.leftOut, []);

    const [item] = await sidecar.client.complete(uri, endOf(text));
    assert.ok(item !== undefined);
    const stats = await sidecar.client.connection.sendRequest(CacheStatsRequest);
    assert.ok(stats !== null);
    assert.deepEqual(stats.sequences.map(({ name }) => name).sort(), ['chat', 'completion']);
    // What both start with is there once.
    const [shared] = stats.sequences.map(({ sharedBytes }) => sharedBytes);
    const filesTokens = context.files.reduce((sum, { tokens }) => sum + tokens, 0);
    assert.ok(shared !== undefined && shared > 0.7 * filesTokens * 1024, `${shared} bytes`);
    const reused = /(\d+) reused/.exec(
      sidecar.client.log.findLast((line) => line.includes('tokens in sight')) ?? '',
    )?.[1];
    assert.ok(Number(reused) > filesTokens, `${reused} of ${filesTokens}`);
  });

  it('goes on with a conversation from the cache', async () => {
    const first = await ask(question('What does add3 return?', { id: 'two' }));
    const again = await ask({
      ...question(''),
      id: 'three',
      messages: [
        { role: 'user', content: 'What does add3 return?' },
        { role: 'assistant', content: first.text },
        { role: 'user', content: 'And add4?' },
      ],
    });
    const { promptTokens, reusedTokens, omittedMessages } = again.context;
    assert.equal(omittedMessages, 0);
    assert.ok(promptTokens - reusedTokens < 200, `${reusedTokens} of ${promptTokens}`);
    // The same question gets the same answer: what was written before left no trace.
    const same = await ask(question('What does add3 return?', { id: 'four' }));
    assert.equal(same.text, first.text);
  });

  it('shows what is attached, and says what it cannot', async () => {
    const missing = 'file:///project/src/missing.ts';
    const answer = await ask(
      question('What is this?', {
        id: 'five',
        attachments: [{ uri: other }, { uri, lines: { first: 3, last: 9 } }, { uri: missing }],
      }),
    );
    const { attachments, leftOut } = answer.context;
    const inCache = Object.fromEntries(attachments.map((one) => [one.uri, one.inCache]));
    assert.deepEqual(inCache, { [other]: true, [uri]: false });
    assert.deepEqual(leftOut, [{ uri: missing, reason: 'missing' }]);
    const part = attachments.find((one) => one.uri === uri);
    assert.ok(part !== undefined && part.tokens < part.documentTokens / 2);
  });

  it('leaves out old messages where the context is full, and refuses a question that never fits', async () => {
    const long = 'const value = compute(1, 2, 3);\n'.repeat(100);
    const messages = Array.from({ length: 20 }, (_, i) => ({
      role: i % 2 === 0 ? ('user' as const) : ('assistant' as const),
      content: long,
    }));
    const answer = await ask({
      ...question('', { id: 'six' }),
      messages: [...messages, { role: 'user', content: 'Again?' }],
    });
    const { omittedMessages, promptTokens, contextTokens, files } = answer.context;
    assert.ok(omittedMessages > 0 && omittedMessages < 20 && omittedMessages % 2 === 0);
    assert.ok(promptTokens + 100 <= contextTokens);
    assert.ok(files.some((file) => file.uri === uri));
    await assert.rejects(ask(question(long.repeat(30), { id: 'seven' })), /CONTEXT_FULL/);
  });

  it('stops when it is told to, keeps what was told, and answers again', async () => {
    const { connection } = sidecar.client;
    const source = new CancellationTokenSource();
    onProgress = (news) => {
      if (news.id === 'eight' && news.kind === 'text') source.cancel();
    };
    const asked = connection.sendRequest(
      ChatRequest,
      question('Write add100 to add110.', { id: 'eight', maxTokens: 2000 }),
      source.token,
    );
    await assert.rejects(asked, { code: LSPErrorCodes.RequestCancelled });
    onProgress = () => undefined;
    assert.ok(textOf('eight').length > 0);
    assert.ok((await ask(question('Go on.', { id: 'nine' }))).generatedTokens > 0);
  });

  it('makes way for completions, and writes what it would have written without them', async () => {
    const params = question('Write add100 to add110.', { maxTokens: 400 });
    const alone = await ask({ ...params, id: 'ten' });
    // What was written is coded as everything else is.
    const account = await sidecar.client.connection.sendRequest(CacheStatsRequest);
    const talk = account?.sequences.find(({ name }) => name === 'chat');
    assert.ok(talk !== undefined && alone.generatedTokens > 300);
    assert.ok(talk.bytes < 0.7 * talk.tokens * 2048, `${talk.bytes} bytes, ${talk.tokens} tokens`);
    const { client } = sidecar;
    const running = ask({ ...params, id: 'eleven' });
    let completions = 0;
    const over = new AbortController();
    void running.finally(() => {
      over.abort();
    });
    for (let line = 1; !over.signal.aborted && line < 30; line++) {
      const triggerKind = InlineCompletionTriggerKind.Invoked;
      await client.complete(uri, { line, character: 0 }, { triggerKind });
      completions++;
    }
    const answer = await running;
    assert.ok(completions > 2, `${completions} completions while it wrote`);
    assert.equal(answer.text, alone.text);
    assert.equal(textOf('eleven'), answer.text);
  });

  it('refuses what is no conversation', async () => {
    const { connection } = sidecar.client;
    for (const input of [{}, { ...question('x'), messages: [] }, { ...question('x'), id: 1 }])
      await assert.rejects(connection.sendRequest('sightline/chat', input), /expected/i);
    await assert.rejects(connection.sendRequest('sightline/countTokens', { texts: 1 }));
    await assert.rejects(connection.sendRequest('sightline/measureCache', {}));
  });

  it('says what caches will take, and compares its own with FP16', async () => {
    const { connection } = sidecar.client;
    const forecast = await connection.sendRequest(MemoryForecastRequest);
    assert.ok(forecast !== null);
    assert.deepEqual(
      forecast.policies.map(({ policy }) => policy),
      ['full', 'selective', 'compressed'],
    );
    assert.equal(forecast.tokens.at(-1), 8192);
    const [full, selective, compressed] = forecast.policies.map(({ bytes }) => bytes.at(-1) ?? 0);
    assert.ok(full !== undefined && selective !== undefined && compressed !== undefined);
    assert.ok(full > 1.8 * selective && selective > compressed);

    const quality = await connection.sendRequest(MeasureCacheRequest, { uri });
    assert.equal(quality.tokens, quality.documentTokens - 1);
    assert.ok(Math.abs(quality.perplexity / quality.fp16Perplexity - 1) < 0.005);
    assert.ok(quality.sameTop > 0.97 && quality.divergence < quality.divergence99);
    assert.ok(quality.fp16Bytes > 1.3 * quality.bytes);
    const stats = await connection.sendRequest(CacheStatsRequest);
    // Those that it was measured in are gone.
    assert.ok(stats !== null && stats.sequences.length <= 2);
  });

  it('empties the cache when it is told to', async () => {
    const { connection } = sidecar.client;
    await connection.sendRequest(ClearCacheRequest);
    const stats = await connection.sendRequest(CacheStatsRequest);
    assert.equal(stats?.sequences.find(({ name }) => name === 'chat')?.tokens ?? 0, 0);
    assert.ok((await ask(question('What does add3 return?', { id: 'last' }))).text.length > 0);
  });
});
