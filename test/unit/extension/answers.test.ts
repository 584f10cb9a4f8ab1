import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  CancellationTokenSource,
  LSPErrorCodes,
  ResponseError,
  type ProtocolConnection,
} from 'vscode-languageserver/node';
import { whyNoAnswer, type Answers } from '../../../extension/answers.ts';
import {
  ChatProgressNotification,
  ChatRequest,
  CountTokensRequest,
  ModelRequest,
  type ChatProgress,
  type ModelInSight,
} from '../../../sidecar/protocol.ts';
import { answering, answerOf } from '../support/answering.ts';

describe('Answers', () => {
  let answers: Answers;
  let sidecar: ProtocolConnection;
  let close: () => void;
  beforeEach(() => {
    ({ answers, sidecar, close } = answering());
  });
  afterEach(() => {
    close();
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
      return answerOf(`re: ${question?.content ?? ''}`);
    });
    const told: ChatProgress[][] = [[], []];
    const answered = await Promise.all([ask('one', told[0]), ask('two', told[1])]);
    assert.equal(new Set(ids).size, 2);
    for (const [index, name] of ['one', 'two'].entries()) {
      assert.deepEqual(answered[index], { kind: 'answer', answer: answerOf(`re: ${name}`) });
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
