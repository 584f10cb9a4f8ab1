import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, describe, it } from 'node:test';
import { RemoteServer } from '../../../sidecar/remote/server.ts';
import { ApiServer, type ApiOptions } from '../../../sidecar/serve/server.ts';
import { TextUpTo } from '../../../sidecar/serve/textUpTo.ts';
import {
  ask,
  bodyOf,
  dataOf,
  errorOf,
  fakeApi,
  token,
  type Answered,
  type Asked,
} from '../support/api.ts';
import {
  FakeError,
  gate,
  loadFake,
  markers,
  noMarkers,
  type FakeAddon,
  type FakeEngine,
  type FakeOptions,
} from '../support/fakeAddon.ts';

const started: ApiServer[] = [];
after(async () => {
  for (const server of started) await server.close();
});

async function api(
  fake: FakeOptions = {},
  options: Partial<ApiOptions> = {},
  contextTokens = 0,
): Promise<{
  url: string;
  server: ApiServer;
  addon: FakeAddon;
  native: FakeEngine;
  outcomes: string[];
  post: (path: string, body: unknown) => Promise<Answered>;
}> {
  const made = await fakeApi(fake, options, contextTokens);
  started.push(made.server);
  const { url } = made.server;
  return { ...made, url, post: (path, body) => ask(url + path, { body }) };
}

const chatting = (content: string): { role: string; content: string }[] => [
  { role: 'user', content },
];

/** Waits for what only other events bring about. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}

describe('a text up to a mark', () => {
  const through = (marks: string[], pieces: string[]): string[] => {
    const text = new TextUpTo(marks);
    return [...pieces.map((piece) => text.push(piece)), text.end()];
  };

  it('comes as it is where there is none', () => {
    assert.deepEqual(through([], ['a', 'b']), ['a', 'b', '']);
    assert.deepEqual(through(['x'], ['a', 'b']), ['a', 'b', '']);
  });

  it('ends before the first one, however it is cut', () => {
    assert.deepEqual(through(['<end>'], ['one <e', 'nd> two']), ['one ', '', '']);
    assert.deepEqual(through(['b', 'a'], ['xab', 'c']), ['x', '', '']);
    assert.deepEqual(through(['aab'], ['aa', 'ab', 'c']), ['', 'a', '', '']);
  });

  it('holds back no more than what may be one', () => {
    assert.deepEqual(through(['<end>'], ['a<', 'en', 'x<e']), ['a', '', '<enx', '<e']);
  });
});

describe('the server for other tools', () => {
  it('says which model there is, and that it is there', async () => {
    const { url, server } = await api();
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    assert.equal(server.modelId, 'm');
    const model = (await ask(`${url}/models/m`)).text;
    assert.match(
      model,
      /^\{"id":"m","object":"model","created":\d+,"owned_by":"sightline","max_model_len":4096\}$/,
    );
    assert.equal((await ask(`${url}/models`)).text, `{"object":"list","data":[${model}]}`);
    const health = await ask(url.replace('/v1', '/health'), {}, 'no token');
    assert.equal(health.text, '{"status":"ok"}');
  });

  it('continues a text', async () => {
    const { post, native } = await api({ answer: ['one', ' two'] });
    const answer = await post('/completions', {
      ...{ model: 'm', prompt: ['a <|fim_prefix|>'], max_tokens: 7 },
      ...{ temperature: 0.5, top_p: 0.7, seed: -5, user: 'somebody' },
    });
    assert.equal(answer.status, 200);
    const { id, object, model, choices, usage } = bodyOf(answer);
    assert.match(id, /^cmpl-/);
    assert.deepEqual([object, model], ['text_completion', 'm']);
    assert.deepEqual(choices, [
      { index: 0, text: 'one two', logprobs: null, finish_reason: 'stop' },
    ]);
    assert.deepEqual(usage, {
      ...{ prompt_tokens: 16, completion_tokens: 7, total_tokens: 23 },
      prompt_tokens_details: { cached_tokens: 0 },
    });
    const { sampling, maxTokens, sequence = 0, stopTokens } = native.requests.at(-1) ?? {};
    assert.deepEqual(sampling, { temperature: 0.5, topK: 40, topP: 0.7, minP: 0.05, seed: 5 });
    assert.deepEqual([maxTokens, sequence], [7, 0]);
    assert.deepEqual(stopTokens, Int32Array.from(Object.values(markers)));
    // What looks like a marker is one.
    assert.deepEqual(native.marked.at(-1), 'a <|fim_prefix|>');

    const again = bodyOf(await post('/completions', { prompt: 'a <|fim_prefix|>' }));
    assert.equal(again.usage?.prompt_tokens_details.cached_tokens, 16);
    assert.equal(native.requests.at(-1)?.maxTokens, 16);
    assert.equal(native.requests.at(-1)?.sampling.temperature, 0);
    // As clients of llama-server have it.
    await post('/completions', { model: '', prompt: 'abcd', max_tokens: -1 });
    assert.equal(native.requests.at(-1)?.maxTokens, 4092);
  });

  it('fills in before a suffix, all of which is text', async () => {
    const { post, native } = await api();
    await post('/completions', { prompt: 'ab', suffix: 'c<|fim_middle|>' });
    const bytes = (text: string): number[] => [...Buffer.from(text)];
    const { prefix, suffix, middle } = markers;
    assert.deepEqual(
      [...(native.requests.at(-1)?.tokens ?? [])],
      [prefix, ...bytes('ab'), suffix, ...bytes('c<|fim_middle|>'), middle],
    );
    assert.ok(!native.marked.includes('c<|fim_middle|>'));

    const plain = await api({ info: { fim: noMarkers } });
    const refused = await plain.post('/completions', { prompt: 'ab', suffix: 'c' });
    assert.equal(refused.status, 400);
    const error = errorOf(refused);
    assert.equal(error.param, 'suffix');
    assert.match(error.message, /^suffix cannot be used: Fake has no fill-in-the-middle tokens\./);
    assert.equal((await plain.post('/completions', { prompt: 'ab', suffix: '' })).status, 200);
  });

  it('ends before a stop, and says so', async () => {
    const { post, native } = await api({ answer: ['ab', 'cST', 'OPde'] });
    for (const stop of ['STOP', ['never', 'STOP']]) {
      const { choices } = bodyOf(await post('/completions', { prompt: 'x', stop }));
      assert.equal(choices[0]?.text, 'abc');
      assert.equal(choices[0].finish_reason, 'stop');
    }
    const { choices } = bodyOf(
      await post('/chat/completions', { messages: chatting('x'), stop: 'STOP' }),
    );
    assert.equal(choices[0]?.message?.content, 'abc');
    assert.equal(native.aborted, 0);
  });

  it('streams as the interface has it', async () => {
    const { post } = await api({ answer: ['one', ' two'] });
    const bare = await post('/completions', { prompt: 'a', stream: true });
    assert.match(bare.headers['content-type'] ?? '', /^text\/event-stream/);
    const texts = dataOf(bare.text);
    assert.deepEqual(
      texts.map(({ choices }) => choices[0]?.text),
      ['one', ' two', ''],
    );
    assert.deepEqual(
      texts.map(({ choices }) => choices[0]?.finish_reason),
      [null, null, 'stop'],
    );
    assert.ok(texts.every((piece) => !('usage' in piece) && piece.object === 'text_completion'));
    assert.equal(new Set(texts.map(({ id }) => id)).size, 1);

    const events = dataOf(
      (
        await post('/chat/completions', {
          ...{ messages: chatting('Why?'), stream: true },
          stream_options: { include_usage: true },
        })
      ).text,
    );
    assert.deepEqual(
      events.map(({ choices }) => choices[0]?.delta),
      [{ role: 'assistant', content: '' }, { content: 'one' }, { content: ' two' }, {}, undefined],
    );
    assert.ok(events.every(({ object }) => object === 'chat.completion.chunk'));
    assert.deepEqual(
      events.slice(0, -1).map(({ usage }) => usage),
      [null, null, null, null],
    );
    const last = events.at(-1);
    assert.deepEqual(last?.choices, []);
    assert.equal(last.usage?.completion_tokens, 7);
  });

  it('answers a conversation, and adds nothing to it', async () => {
    const { post, native } = await api({ answer: ['Because.'] });
    const answer = await post('/chat/completions', {
      ...{ max_completion_tokens: 9, max_tokens: 5 },
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'Wh' },
            { type: 'text', text: 'y?' },
          ],
        },
        { role: 'assistant', content: 'So.' },
        { role: 'user', content: 'And <answer>?', name: 'somebody' },
      ],
    });
    const { id, object, choices, usage } = bodyOf(answer);
    assert.match(id, /^chatcmpl-/);
    assert.equal(object, 'chat.completion');
    const message = { role: 'assistant', content: 'Because.' };
    assert.deepEqual(choices, [{ index: 0, message, logprobs: null, finish_reason: 'stop' }]);
    const { tokens = new Int32Array(), maxTokens, sequence } = native.requests.at(-1) ?? {};
    const prompt = '<system>Be brief.<user>Why?<assistant>So.<user>And <answer>?<answer>';
    assert.equal(await native.detokenize(tokens), prompt);
    assert.equal(usage?.prompt_tokens, prompt.length);
    assert.deepEqual([maxTokens, sequence], [9, 1]);
    // What somebody wrote is no marker.
    assert.ok(native.tokenized.includes('And <answer>?'));
  });

  it('gives calls of tools as such, whole and streamed', async () => {
    const call = '<tool_call>\n{"name": "read", "arguments": {"path": "a.ts"}}\n</tool_call>';
    const answer = ['Let me look.\n<tool', call.slice('<tool'.length, 30), call.slice(30)];
    const { post, native } = await api({ answer });
    const tools = [
      { type: 'function', function: { name: 'read', parameters: { type: 'object' } } },
      { type: 'function', function: { name: 'write', description: 'Writes.' } },
    ];
    const messages = [
      ...chatting('What is in a.ts?'),
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c0', type: 'function', function: { name: 'read', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c0', content: 'No path.' },
    ];
    const [whole] = bodyOf(await post('/chat/completions', { messages, tools })).choices;
    assert.equal(whole?.finish_reason, 'tool_calls');
    assert.equal(whole.message?.content, 'Let me look.\n');
    const [made] = whole.message.tool_calls ?? [];
    assert.deepEqual(made?.function, { name: 'read', arguments: '{"path":"a.ts"}' });
    assert.match(made.id, /^call-/);
    assert.ok(
      native.marked.some((text) => /"name": ?"write"/.test(text)),
      String(native.marked),
    );

    const events = dataOf(
      (await post('/chat/completions', { messages, tools, stream: true })).text,
    );
    const deltas = events.map(({ choices }) => choices[0]?.delta ?? {});
    assert.equal(deltas.map(({ content }) => content ?? '').join(''), 'Let me look.\n');
    const calls = deltas.flatMap(({ tool_calls: all = [] }) => all);
    assert.deepEqual(
      calls.map(({ index, type, function: { name } }) => ({ index, type, name })),
      [{ index: 0, type: 'function', name: 'read' }],
    );
    assert.equal(events.at(-1)?.choices[0]?.finish_reason, 'tool_calls');

    // Where none may be called, there are none.
    const none = { messages, tools, tool_choice: 'none' };
    const [said] = bodyOf(await post('/chat/completions', none)).choices;
    assert.equal(said?.finish_reason, 'stop');
    assert.ok(said.message?.content?.endsWith('</tool_call>'));
  });

  it('refuses what it cannot do, and says what to do', async () => {
    const { post } = await api({}, {}, 64);
    const messages = chatting('Why?');
    const cases: readonly [path: string, body: unknown, param: string | null, message: RegExp][] = [
      ['/completions', '{"prompt": ', null, /not valid JSON/],
      ['/completions', [], null, /^The body must be a JSON object\.$/],
      ['/completions', {}, 'prompt', /^prompt must be a text, or a list of one text\.$/],
      ['/completions', { prompt: ['a', 'b'] }, 'prompt', /list of one text/],
      ['/completions', { prompt: '' }, 'prompt', /must not be empty/],
      ['/completions', { prompt: 'a', max_tokens: -2 }, 'max_tokens', /at least 0, or -1/],
      ['/completions', { prompt: 'a', temperature: 'hot' }, 'temperature', /from 0 to 2\.$/],
      ['/completions', { prompt: 'a', top_p: 2 }, 'top_p', /from 0 to 1\.$/],
      ['/completions', { prompt: 'a', stop: [''] }, 'stop.0', /not empty/],
      ['/completions', { prompt: 'a', stop: 5 }, 'stop', /list of at most 64/],
      ['/completions', { prompt: 'a', n: 2 }, 'n', /^n must be 1, or left out/],
      ['/completions', { prompt: 'a', echo: true }, 'echo', /nothing else is supported/],
      ['/completions', { prompt: 'a', logit_bias: { 5: 1 } }, 'logit_bias', /left out/],
      ['/completions', { prompt: 'a', model: 'gpt' }, 'model', /model must be "m"/],
      ['/completions', { prompt: 'a'.repeat(64) }, 'prompt', /64 tokens.*--context/],
      ['/chat/completions', { messages: [] }, 'messages', /at least one\.$/],
      ['/chat/completions', { messages: 'hi' }, 'messages', /a list of messages\.$/],
      ['/chat/completions', { messages: [{ role: 'me' }] }, 'messages.0.role', /"developer"/],
      [
        '/chat/completions',
        { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
        'messages.0.content',
        /parts of type "text"/,
      ],
      [
        '/chat/completions',
        { messages, tools: [{ type: 'function', function: {} }] },
        'tools.0.function.name',
        /a text/,
      ],
      ['/chat/completions', { messages, tool_choice: 'required' }, 'tool_choice', /demanded/],
      [
        '/chat/completions',
        { messages, response_format: { type: 'json_object' } },
        'response_format.type',
        /"text"/,
      ],
      ['/chat/completions', { messages: chatting('a'.repeat(64)) }, 'messages', /tokens.*64/],
    ];
    for (const [path, body, param, message] of cases) {
      const answer = await post(path, body);
      const error = errorOf(answer);
      const which = `${JSON.stringify(body).slice(0, 80)}: ${answer.text}`;
      assert.equal(answer.status, 400, which);
      assert.equal(error.param, param, which);
      assert.match(error.message, message, which);
      assert.equal(error.type, 'invalid_request_error', which);
    }
    const error = errorOf(await post('/completions', { prompt: 'a'.repeat(64) }));
    assert.equal(error.code, 'context_length_exceeded');
  });

  it('refuses conversations where the model has no template, and tools where that has no place for them', async () => {
    const without = await api({ info: { chatTemplate: '{{ messages[0].content }}' } });
    const tools = [{ type: 'function', function: { name: 'read' } }];
    const refused = await without.post('/chat/completions', { messages: chatting('a'), tools });
    assert.equal(refused.status, 400);
    assert.match(errorOf(refused).message, /^tools cannot be used/);
    const broken = await api({ info: { chatTemplate: '{{ raise_exception("odd") }}' } });
    const odd = await broken.post('/chat/completions', { messages: chatting('a') });
    assert.equal(odd.status, 400);
    assert.match(odd.text, /odd/);
  });

  it('lets nobody in without the token, and no page of another site', async () => {
    const { url, native } = await api();
    const statusOf = async (asked: Asked, bearer = token): Promise<number> =>
      (await ask(`${url}/models`, asked, bearer)).status;
    assert.equal(await statusOf({}), 200);
    assert.equal(await statusOf({}, 'wrong'), 401);
    assert.equal(await statusOf({ headers: { authorization: token } }), 401);
    assert.equal(await statusOf({ headers: { authorization: `bearer  ${token}` } }), 200);
    const refused = await ask(`${url}/completions`, { body: { prompt: 'a' } }, '');
    assert.equal(refused.status, 401);
    assert.equal(refused.headers['www-authenticate'], 'Bearer');
    assert.equal(errorOf(refused).code, 'invalid_api_key');
    assert.equal(native.requests.length, 1);

    const { port } = new URL(url);
    for (const origin of ['http://localhost:3000', 'http://127.0.0.1', 'https://[::1]:1'])
      assert.equal(await statusOf({ headers: { origin } }), 200, origin);
    for (const origin of ['https://example.org', 'null', 'http://127.0.0.1.example.org', 'file://'])
      assert.equal(await statusOf({ headers: { origin } }), 403, origin);
    for (const host of [`localhost:${port}`, '127.0.0.1', '[::1]:80'])
      assert.equal(await statusOf({ headers: { host } }), 200, host);
    for (const host of [`example.org:${port}`, 'localhost.example.org', '127.0.0.1@x.org'])
      assert.equal(await statusOf({ headers: { host } }), 403, host);
    // The health of the server is no secret, but no page's business.
    const health = url.replace('/v1', '/health');
    assert.equal((await ask(health, { headers: { host: 'example.org' } })).status, 403);
  });

  it('says what paths, methods and bodies it takes', async () => {
    const { url } = await api();
    const missing = await ask(`${url}/embeddings`, { body: {} });
    assert.equal(missing.status, 404);
    assert.match(errorOf(missing).message, /\/v1\/chat\/completions/);
    assert.equal((await ask(`${url}/__proto__`)).status, 404);
    const method = await ask(`${url}/completions`);
    assert.equal(method.status, 405);
    assert.equal(method.headers['allow'], 'POST');
    const type = await ask(`${url}/completions`, {
      ...{ body: 'prompt=a', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    });
    assert.equal(type.status, 415);
    const large = await ask(`${url}/completions`, {
      body: { prompt: 'a'.repeat(17 * 2 ** 20) },
    });
    assert.equal(large.status, 413);
    assert.match(errorOf(large).message, /at most 16777216/);
  });

  it('says what the engine fails with, also in the middle of a stream', async () => {
    const { post, addon, outcomes } = await api();
    for (const [code, status] of [
      ['CACHE_EXHAUSTED', 503],
      ['CONTEXT_FULL', 400],
      ['ENGINE_FAILED', 500],
    ] as const) {
      addon.options = { ...addon.options, completeError: new FakeError(code, 'It failed.') };
      const refused = await post('/completions', { prompt: 'a' });
      assert.equal(refused.status, status);
      const error = errorOf(refused);
      assert.equal(error.message, `It failed. [${code}]`);
      assert.equal(error.type, status < 500 ? 'invalid_request_error' : 'server_error');
      const streamed = await post('/completions', { prompt: 'a', stream: true });
      assert.equal(streamed.status, 200);
      const [event] = streamed.text.split('\n\n');
      assert.deepEqual(JSON.parse(event?.slice('data: '.length) ?? ''), { error });
      assert.ok(!streamed.text.includes('[DONE]'));
    }
    assert.equal(outcomes.at(-1), 'POST /v1/completions: 500 It failed. [ENGINE_FAILED]');
  });

  /** A request that goes away once it has received something, or once `leave` is called. */
  const leaving = (url: string, body: object): { leave: () => void; begun: Promise<string> } => {
    const asked = request(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    });
    asked.on('error', () => undefined);
    const begun = new Promise<string>((resolve) => {
      asked.once('response', (response) => {
        response.on('error', () => undefined);
        response.once('data', (chunk: Buffer) => {
          resolve(chunk.toString());
        });
      });
    });
    asked.end(JSON.stringify(body));
    return { leave: () => asked.destroy(), begun };
  };

  it('tells those who wait for the first text that they still do', async () => {
    const answerGate = gate();
    const { url, post } = await api({ answerGate }, { aliveMs: 1 });
    const first = post('/completions', { prompt: 'a' });
    const { leave, begun } = leaving(`${url}/completions`, { prompt: 'b', stream: true });
    assert.equal((await begun).slice(0, 11), ': waiting\n\n');
    answerGate.open();
    assert.equal((await first).status, 200);
    leave();
  });

  it('stops to write when the client has left, and answers the next', async () => {
    const answerGate = gate();
    const { url, post, native, outcomes } = await api({ answer: ['one', 'two'], answerGate });
    const cases = [
      ['/completions', { prompt: 'a', stream: true }],
      ['/chat/completions', { messages: chatting('a'), stream: true }],
    ] as const;
    for (const [index, [path, body]] of cases.entries()) {
      const { leave, begun } = leaving(url + path, body);
      await begun;
      await until(() => native.requests.length === index + 2);
      leave();
      await until(() => outcomes.length === index + 1);
      assert.equal(outcomes[index], `POST /v1${path}: given up by the client`);
      assert.equal(native.aborted, index + 1);
    }
    // One that waits is given up as well, and nothing is asked of the model for it.
    const first = post('/completions', { prompt: 'a' });
    await until(() => native.requests.length === 4);
    const waiting = leaving(`${url}/completions`, { prompt: 'b' });
    const last = post('/completions', { prompt: 'c' });
    await until(() => native.marked.includes('b') && native.marked.includes('c'));
    waiting.leave();
    await until(() => outcomes.length === 3);
    answerGate.open();
    assert.equal((await first).status, 200);
    assert.equal((await last).status, 200);
    assert.equal(native.requests.length, 5);
    assert.equal(native.aborted, 2);
  });

  it('answers one after the other, completions before conversations', async () => {
    const answerGate = gate();
    const { post, native } = await api({ answer: ['one', 'two'], answerGate });
    const talk = post('/chat/completions', { messages: chatting('a') });
    await until(() => native.requests.length === 2);
    const more = post('/chat/completions', { messages: chatting('b') });
    const completion = post('/completions', { prompt: 'c' });
    const another = post('/completions', { prompt: 'd' });
    // The conversation makes way; what it has written stays.
    await until(() => native.requests.length === 3 && native.marked.includes('d'));
    answerGate.open();
    const answers = await Promise.all([talk, more, completion, another]);
    assert.ok(answers.every(({ status }) => status === 200));
    const sequence = native.requests.slice(1).map((one) => one.sequence ?? 0);
    assert.deepEqual(sequence.slice(0, 3), [1, 0, 0]);
    assert.ok(sequence.slice(3).every((one) => one === 1));
    assert.equal(bodyOf(answers[0]).choices[0]?.message?.content?.slice(0, 3), 'one');
  });

  it('refuses more than it can keep waiting', async () => {
    const answerGate = gate();
    const { post, native } = await api({ answerGate }, { mostRequests: 2 });
    const waiting = [post('/completions', { prompt: 'a' }), post('/completions', { prompt: 'b' })];
    await until(() => native.marked.includes('b'));
    const refused = await post('/completions', { prompt: 'c' });
    assert.equal(refused.status, 503);
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal(errorOf(refused).code, 'queue_full');
    answerGate.open();
    for (const answer of await Promise.all(waiting)) assert.equal(answer.status, 200);
    assert.equal((await post('/completions', { prompt: 'c' })).status, 200);
  });

  it('ends what runs when it is closed, and says so', async () => {
    const { post, server, native } = await api({ answerGate: gate() });
    const whole = post('/completions', { prompt: 'a' });
    const streamed = post('/completions', { prompt: 'b', stream: true });
    await until(() => native.requests.length === 2 && native.marked.includes('b'));
    // One whose body never ends.
    const { port } = new URL(server.url);
    const arriving = connect(Number(port), '127.0.0.1');
    arriving.on('error', () => undefined);
    const dropped = once(arriving, 'close');
    arriving.write(
      `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n{',
    );
    // It has been let in.
    await once(arriving, 'data');
    await server.close();
    await dropped;
    assert.equal((await whole).status, 503);
    assert.match((await whole).text, /The server is being stopped\./);
    assert.match((await streamed).text, /data: \{"error":.*"stopping"/);
    assert.equal(native.aborted, 1);
    await assert.rejects(post('/completions', { prompt: 'c' }));
  });

  it('says which port is in use', async () => {
    const { url, server } = await api();
    const port = Number(new URL(url).port);
    const { model } = await loadFake();
    const second = await ApiServer.start({ model, token, port });
    assert.ok(!second.ok);
    assert.match(second.error, new RegExp(`^port ${port} is in use; choose another, or 0`));
    await server.close();
  });

  it('is a server that Sightline itself can ask', async () => {
    const call = '<tool_call>{"name": "read", "arguments": {}}</tool_call>';
    const { url, addon } = await api({ answer: ['one', ' two'] });
    const options = { url, model: 'm', token, idleMs: 60_000 };
    const remote = RemoteServer.at(options);
    assert.ok(remote.ok);
    const { signal } = new AbortController();
    const pieces: string[] = [];
    const complete = (): ReturnType<RemoteServer['complete']> =>
      remote.value.complete(
        { prefix: 'const a', suffix: ';\n', maxTokens: 20, temperature: 0 },
        (piece) => pieces.push(piece) > 99,
        signal,
      );
    const completed = await complete();
    assert.ok(completed.ok, JSON.stringify(completed));
    assert.deepEqual(pieces, ['one', ' two']);
    assert.deepEqual(completed.value, {
      ...{ text: 'one two', toolCalls: [], finish: 'end' },
      ...{ promptTokens: 12, reusedTokens: 0, generatedTokens: 7 },
    });
    const again = await complete();
    assert.ok(again.ok && again.value.reusedTokens === 12);

    addon.options = { ...addon.options, answer: ['Let me look. ', call] };
    const answered = await remote.value.chat(
      {
        messages: [{ role: 'user', content: 'What is in a.ts?' }],
        tools: [{ name: 'read', description: 'Reads.' }],
        ...{ maxTokens: 100, temperature: 0.2 },
      },
      () => false,
      signal,
    );
    assert.ok(answered.ok, JSON.stringify(answered));
    assert.equal(answered.value.text, 'Let me look. ');
    assert.deepEqual(
      answered.value.toolCalls.map(({ name, arguments: given }) => [name, given]),
      [['read', '{}']],
    );
    const stranger = RemoteServer.at({ ...options, token: 'wrong' });
    assert.ok(stranger.ok);
    const refused = await stranger.value.complete(
      { prefix: 'a', suffix: '', maxTokens: 1, temperature: 0 },
      () => false,
      signal,
    );
    assert.ok(!refused.ok);
    assert.match(refused.error.message, /answered 401: The token is missing or wrong/);
  });
});
