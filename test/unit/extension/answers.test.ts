import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  CancellationTokenSource,
  createProtocolConnection,
  LSPErrorCodes,
  ResponseError,
  StreamMessageReader,
  StreamMessageWriter,
  type ProtocolConnection,
} from 'vscode-languageserver/node';
import { Answers, whyNoAnswer } from '../../../extension/answers.ts';
import {
  ChatProgressNotification,
  ChatRequest,
  CountTokensRequest,
  ModelRequest,
  type ChatAnswer,
  type ChatProgress,
  type ModelInSight,
} from '../../../sidecar/protocol.ts';

const answer = (text: string): ChatAnswer => ({
  text,
  toolCalls: [],
  finish: 'end',
  context: {
    promptTokens: 3,
    reusedTokens: 0,
    contextTokens: 100,
    files: [],
    attachments: [],
    leftOut: [],
    omittedMessages: 0,
  },
  generatedTokens: 2,
  firstTokenSeconds: 0.1,
  tiers: [],
});

describe('Answers', () => {
  let client: ProtocolConnection;
  let sidecar: ProtocolConnection;
  let answers: Answers;
  beforeEach(() => {
    const [there, back] = [new PassThrough(), new PassThrough()];
    client = createProtocolConnection(
      new StreamMessageReader(back),
      new StreamMessageWriter(there),
    );
    sidecar = createProtocolConnection(
      new StreamMessageReader(there),
      new StreamMessageWriter(back),
    );
    answers = new Answers(client);
    client.listen();
    sidecar.listen();
  });
  afterEach(() => {
    client.dispose();
    sidecar.dispose();
  });

  const ask = (
    content: string,
    told: ChatProgress[] = [],
    source = new CancellationTokenSource(),
  ) =>
    answers.ask({ messages: [{ role: 'user', content }], attachments: [] }, source.token, (news) =>
      told.push(news),
    );

  it('tells each question of its own answer, and of no other', async () => {
    const ids: string[] = [];
    sidecar.onRequest(ChatRequest, async ({ id, messages: [question] }) => {
      ids.push(id);
      for (const text of ['re: ', question?.content ?? '']) {
        await sidecar.sendNotification(ChatProgressNotification, { id, kind: 'text', text });
        await sidecar.sendNotification(ChatProgressNotification, {
          id: `${id} of another client`,
          kind: 'text',
          text: 'not for us',
        });
      }
      return answer(`re: ${question?.content ?? ''}`);
    });
    const told: ChatProgress[][] = [[], []];
    const answered = await Promise.all([ask('one', told[0]), ask('two', told[1])]);
    assert.equal(new Set(ids).size, 2);
    for (const [index, name] of ['one', 'two'].entries()) {
      assert.deepEqual(answered[index], { kind: 'answer', answer: answer(`re: ${name}`) });
      const text = told[index]?.map((news) => (news.kind === 'text' ? news.text : '')).join('');
      assert.equal(text, `re: ${name}`);
    }
  });

  it('is cancelled by its token', async () => {
    const source = new CancellationTokenSource();
    sidecar.onRequest(ChatRequest, (_params, token) => {
      queueMicrotask(() => {
        source.cancel();
      });
      return new Promise((_resolve, reject) => {
        token.onCancellationRequested(() => {
          reject(new ResponseError(LSPErrorCodes.RequestCancelled, 'given up'));
        });
      });
    });
    assert.deepEqual(await ask('anything', [], source), { kind: 'cancelled' });
  });

  it('says what failed', async () => {
    sidecar.onRequest(ChatRequest, () => new ResponseError(1, 'No model. Choose one.'));
    assert.deepEqual(await ask('anything'), { kind: 'failed', message: 'No model. Choose one.' });
  });

  it('knows no model where the sidecar fails', async () => {
    sidecar.onRequest(ModelRequest, () => new ResponseError(1, 'gone'));
    assert.equal(await answers.model(), null);
  });

  it('counts tokens of each text', async () => {
    sidecar.onRequest(CountTokensRequest, ({ texts }) => texts.map((text) => text.length));
    assert.deepEqual(await answers.countTokens(['a', 'bcd']), [1, 3]);
  });
});

describe('whyNoAnswer', () => {
  const model: ModelInSight = {
    name: 'Some Coder',
    path: '/some.gguf',
    architecture: 'qwen2',
    parameters: 1,
    fileBytes: 1,
    contextTokens: 8192,
    trainedTokens: 8192,
    canChat: true,
    canFillInTheMiddle: true,
    canCallTools: false,
  };

  it('is nothing with a model that has a template', () => {
    assert.equal(whyNoAnswer(model), undefined);
  });

  it('says what to do without one', () => {
    assert.match(whyNoAnswer({ ...model, canChat: false }) ?? '', /^Some Coder .*Choose /);
    assert.match(whyNoAnswer(null) ?? '', /sightline\.model\.path/);
  });
});
