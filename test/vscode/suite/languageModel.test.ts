import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import type { Answers } from '../../../extension/answers.ts';
import { participate } from '../../../extension/chatParticipant.ts';
import { respond } from '../../../extension/languageModel.ts';
import {
  ChatProgressNotification,
  ChatRequest,
  ModelRequest,
  type ChatAnswer,
  type ChatParams,
  type ModelInSight,
} from '../../../sidecar/protocol.ts';
import { answering, answerOf } from '../../unit/support/answering.ts';
import { ready } from './sightline.ts';

describe("VS Code's own chat", () => {
  let model: vscode.LanguageModelChat;
  before(async function () {
    await ready();
    if (!('registerLanguageModelChatProvider' in vscode.lm)) {
      console.warn(`SKIPPED: ${vscode.version} takes no models from extensions`);
      this.skip();
    }
    const deadline = Date.now() + 90_000;
    let found: vscode.LanguageModelChat | undefined;
    while (found === undefined) {
      assert(Date.now() < deadline, 'waited 90 s for the model');
      [found] = await vscode.lm.selectChatModels({ vendor: 'sightline' });
    }
    model = found;
  });

  const ask = (
    text: string,
    token?: vscode.CancellationToken,
  ): Thenable<vscode.LanguageModelChatResponse> =>
    model.sendRequest(
      [vscode.LanguageModelChatMessage.User(text)],
      { modelOptions: { temperature: 0, max_tokens: 64 } },
      token,
    );

  it('has the loaded model, with what its context holds', () => {
    assert.equal(model.vendor, 'sightline');
    assert(model.name.length > 0 && model.family.length > 0);
    assert(model.maxInputTokens > 1000, String(model.maxInputTokens));
  });

  it('counts tokens as the model does', async () => {
    const [none, one, all] = await Promise.all(
      ['', 'const', 'const a = 1;\n'.repeat(50)].map((text) => model.countTokens(text)),
    );
    assert(none === 0 && one !== undefined && one > 0 && one < 5);
    assert(all !== undefined && all > 100 && all < 13 * 50);
    const message = vscode.LanguageModelChatMessage.User('const');
    assert.equal(await model.countTokens(message), one);
  });

  it('gets answers as they are written', async () => {
    const response = await ask('What does add return?');
    const pieces: string[] = [];
    for await (const piece of response.text) pieces.push(piece);
    assert(pieces.join('').length > 0);
    assert(pieces.length > 1, JSON.stringify(pieces));
  });

  it('ends an answer that is not wanted any more, and answers the next one', async () => {
    let isEnded = false;
    for (let tries = 0; !isEnded; tries++) {
      assert(tries < 20, 'every answer was complete before it could be ended');
      const source = new vscode.CancellationTokenSource();
      const response = await ask('Write a long program.', source.token);
      source.cancel();
      try {
        for await (const piece of response.text) assert(typeof piece === 'string');
      } catch {
        isEnded = true;
      }
    }
    let text = '';
    for await (const piece of (await ask('What does add return?')).text) text += piece;
    assert(text.length > 0);
  });
});

/** Through the interfaces of VS Code, with a sidecar that answers as the test has it. */
describe('an answer for VS Code', () => {
  let answers: Answers;
  let sidecar: ReturnType<typeof answering>['sidecar'];
  let close: () => void;
  let asked: ChatParams[];
  /** Answers every question, in pieces. */
  const say = (pieces: readonly string[], more: Partial<ChatAnswer> = {}): void => {
    sidecar.onRequest(ChatRequest, async (params) => {
      asked.push(params);
      for (const text of pieces) {
        const news = { id: params.id, kind: 'text', text } as const;
        await sidecar.sendNotification(ChatProgressNotification, news);
      }
      return answerOf(pieces.join(''), more);
    });
  };
  const model: ModelInSight = {
    ...{ name: 'M', path: '/m.gguf', architecture: 'a', parameters: 1, fileBytes: 1 },
    ...{ contextTokens: 8192, trainedTokens: 8192 },
    ...{ canChat: true, canFillInTheMiddle: true, canCallTools: true },
  };
  const never = new vscode.CancellationTokenSource().token;

  beforeEach(() => {
    ({ answers, sidecar, close } = answering());
    asked = [];
    sidecar.onRequest(ModelRequest, () => model);
  });
  afterEach(() => {
    close();
  });

  type Part = vscode.LanguageModelTextPart | vscode.LanguageModelToolCallPart;
  const message = vscode.LanguageModelChatMessage;
  const auto = vscode.LanguageModelChatToolMode.Auto;
  const tool = { name: 'read', description: 'Reads', inputSchema: { type: 'object' } };
  async function respondTo(
    messages: vscode.LanguageModelChatMessage[],
    options: Parameters<typeof respond>[2] = { toolMode: auto },
  ): Promise<Part[]> {
    const parts: Part[] = [];
    await respond(answers, messages, options, { report: (part) => parts.push(part) }, never);
    return parts;
  }
  const textOf = (parts: readonly Part[]): string =>
    parts.map((part) => ('value' in part ? part.value : '')).join('');

  it('keeps the roles, the calls of tools and their results', async () => {
    say(['fine']);
    await respondTo(
      [
        message.User('Read it'),
        message.Assistant([
          new vscode.LanguageModelTextPart('Reading.'),
          new vscode.LanguageModelToolCallPart('1', 'read', { path: 'a' }),
        ]),
        message.User([
          new vscode.LanguageModelToolResultPart('1', [new vscode.LanguageModelTextPart('A')]),
        ]),
      ],
      { toolMode: auto, tools: [tool], modelOptions: { temperature: 0, max_tokens: 7 } },
    );
    const [{ messages, tools, temperature, maxTokens } = assert.fail()] = asked;
    assert.deepEqual(messages, [
      { role: 'user', content: 'Read it' },
      {
        role: 'assistant',
        content: 'Reading.',
        toolCalls: [{ id: '1', name: 'read', arguments: '{"path":"a"}' }],
      },
      { role: 'tool', content: 'A', toolCallId: '1' },
    ]);
    assert.deepEqual(tools, [
      { name: 'read', description: 'Reads', parameters: { type: 'object' } },
    ]);
    assert.deepEqual([temperature, maxTokens], [0, 7]);
  });

  it('is told in parts, a call of a tool as such and not as text', async () => {
    const written = 'I read.<tool_call>{"name":"read","arguments":{"path":"a"}}</tool_call>';
    say(written.match(/.{1,3}/gs) ?? [], {
      toolCalls: [{ id: '1', name: 'read', arguments: '{"path":"a"}' }],
    });
    const parts = await respondTo([message.User('Read it')], { toolMode: auto, tools: [tool] });
    assert.equal(textOf(parts), 'I read.');
    const call = parts.at(-1);
    assert(call instanceof vscode.LanguageModelToolCallPart);
    assert.deepEqual([call.callId, call.name, call.input], ['1', 'read', { path: 'a' }]);
  });

  it('is whole where it only looks like the call of a tool', async () => {
    say(['a <', 'tool', '> b <tool_call>']);
    const parts = await respondTo([message.User('Say it')], { toolMode: auto, tools: [tool] });
    assert.equal(textOf(parts), 'a <tool> b <tool_call>');
  });

  it('is an error with what the sidecar says where there is none', async () => {
    sidecar.onRequest(ChatRequest, () => {
      throw new Error('The context is full.');
    });
    await assert.rejects(respondTo([message.User('Say it')]), /The context is full\./);
  });

  it('of the participant has the conversation, what is attached, and the files in sight as references', async () => {
    const [root = assert.fail()] = vscode.workspace.workspaceFolders ?? [];
    const inside = vscode.Uri.joinPath(root.uri, 'README.md');
    const outside = vscode.Uri.file('/etc/hostname');
    const seen = { tokens: 1, documentTokens: 1 };
    const { context } = answerOf('');
    say(['**Yes', '.**'], {
      context: {
        ...context,
        files: [{ uri: 'file:///other.ts', source: 'open', ...seen }],
        attachments: [{ uri: inside.toString(), inCache: false, ...seen }],
      },
    });
    let markdown = '';
    const references: string[] = [];
    const result = await participate(
      answers,
      {
        prompt: 'Is it?',
        references: [
          { id: 'file', value: inside },
          { id: 'lines', value: new vscode.Location(inside, new vscode.Range(1, 0, 2, 3)) },
          { id: 'outside', value: outside },
          { id: 'text', value: 'Some text.' },
        ],
      },
      { history: [] },
      {
        markdown: (text) => (markdown += typeof text === 'string' ? text : text.value),
        progress: () => undefined,
        reference: (uri) => references.push(uri instanceof vscode.Uri ? uri.toString() : ''),
      },
      never,
    );
    assert.deepEqual(result, {});
    assert.equal(markdown, '**Yes.**');
    assert.deepEqual(references, [inside.toString(), 'file:///other.ts']);
    const [{ messages, attachments } = assert.fail()] = asked;
    assert.deepEqual(messages, [{ role: 'user', content: 'Some text.\n\nIs it?' }]);
    assert.deepEqual(attachments, [
      { uri: inside.toString() },
      { uri: inside.toString(), lines: { first: 1, last: 2 } },
    ]);
  });

  it('of the participant says what to do where the model has no template for conversations', async () => {
    sidecar.onRequest(ModelRequest, () => ({ ...model, canChat: false }));
    const unused = (): never => assert.fail('nothing was to be told');
    const { errorDetails } = await participate(
      answers,
      { prompt: 'Is it?', references: [] },
      { history: [] },
      { markdown: unused, progress: unused, reference: unused },
      never,
    );
    assert.match(errorDetails?.message ?? '', /no template for conversations/);
    assert.deepEqual(asked, []);
  });
});
