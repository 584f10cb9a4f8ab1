import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CancellationTokenSource } from 'vscode-languageserver/node';
import {
  ChatProgressNotification,
  ChatRequest,
  MeasureCacheRequest,
  CountTokensRequest,
  ModelRequest,
  ServerTokenNotification,
} from '../../../sidecar/protocol.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import { readMetrics } from '../../../sidecar/remote/metrics.ts';
import { RemoteServer, type RemoteAnswer } from '../../../sidecar/remote/server.ts';
import { succeed, type Result } from '../../../sidecar/result.ts';
import { events, fakeServer, send, type SeenByServer } from '../support/fakeServer.ts';
import { FakeAddon } from '../support/fakeAddon.ts';
import { serveInProcess } from '../support/inProcess.ts';

const enough = () => false;
const none: SeenByServer = { path: '', authorization: undefined, body: {} };

describe('a server of a team', () => {
  const server = fakeServer();

  const at = (more: { model?: string; token?: string; idleMs?: number } = {}): RemoteServer => {
    const made = RemoteServer.at({
      url: server.url,
      model: 'qwen2.5-coder',
      idleMs: 10_000,
      ...more,
    });
    assert.ok(made.ok);
    return made.value;
  };
  const asked = { prefix: 'const a', suffix: ';\n', maxTokens: 20, temperature: 0 };
  const complete = (
    more: Parameters<typeof at>[0] = {},
    onText: (text: string) => boolean = enough,
    signal = new AbortController().signal,
  ): Promise<Result<RemoteAnswer, Failure>> => at(more).complete(asked, onText, signal);
  const text = (piece: string, finish?: string) => ({
    choices: [{ text: piece, ...(finish === undefined ? {} : { finish_reason: finish }) }],
  });

  it('completes between what is before and behind the cursor, as its model wants it told', async () => {
    server.reply = events(text(' = '), text('1', 'stop'), {
      choices: [],
      usage: {
        prompt_tokens: 9,
        completion_tokens: 2,
        prompt_tokens_details: { cached_tokens: 4 },
      },
    });
    const pieces: string[] = [];
    const outcome = await complete({ token: 'secret' }, (piece) => pieces.push(piece) > 99);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.deepEqual(outcome.value, {
      ...{ text: ' = 1', toolCalls: [], finish: 'end' },
      ...{ promptTokens: 9, reusedTokens: 4, generatedTokens: 2 },
    });
    assert.deepEqual(pieces, [' = ', '1']);
    const [{ path, authorization, body } = none] = server.seen;
    assert.equal(path, '/v1/completions');
    assert.equal(authorization, 'Bearer secret');
    assert.equal(body['prompt'], '<|fim_prefix|>const a<|fim_suffix|>;\n<|fim_middle|>');
    assert.deepEqual(body['stop'], ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>']);
    assert.equal(body['model'], 'qwen2.5-coder');
    assert.equal(body['max_tokens'], 20);
    assert.equal(body['stream'], true);
  });

  it('knows the templates of other models, and tells the suffix as such where it knows none', async () => {
    server.reply = events(text('x', 'length'));
    const promptOf = async (model: string): Promise<unknown> => {
      const outcome = await complete({ model });
      assert.ok(outcome.ok);
      assert.equal(outcome.value.finish, 'length');
      return server.seen.at(-1)?.body['prompt'];
    };
    assert.equal(
      await promptOf('bigcode/starcoder2-7b'),
      '<fim_prefix>const a<fim_suffix>;\n<fim_middle>',
    );
    assert.equal(await promptOf('Codestral-22B'), '[SUFFIX];\n[PREFIX]const a');
    assert.equal(
      await promptOf('JetBrains/Mellum-4b'),
      '<fim_suffix>;\n<fim_prefix>const a<fim_middle>',
    );
    assert.equal(await promptOf('codellama-7b'), '<PRE> const a <SUF>;\n <MID>');
    assert.equal(
      await promptOf('deepseek-coder-v2'),
      '<｜fim▁begin｜>const a<｜fim▁hole｜>;\n<｜fim▁end｜>',
    );
    assert.equal(await promptOf('our-own-model'), 'const a');
    assert.equal(server.seen.at(-1)?.body['suffix'], ';\n');
    assert.equal(server.seen.at(-1)?.body['stop'], undefined);
    const { url } = server;
    for (const form of [`${url}/`, `${url}/v1`, `${url}/v1/`]) {
      const made = RemoteServer.at({ url: form, model: 'm', idleMs: 10_000 });
      assert.ok(made.ok);
      assert.ok((await made.value.complete(asked, enough, new AbortController().signal)).ok);
      assert.equal(server.seen.at(-1)?.path, '/v1/completions');
    }
  });

  it('answers conversations, with calls of tools', async () => {
    const delta = (content: object) => ({ choices: [{ delta: content }] });
    const call = (given: object) => delta({ tool_calls: [{ index: 0, ...given }] });
    server.reply = events(
      delta({ role: 'assistant', content: null }),
      delta({ content: 'Let me ' }),
      delta({ content: 'look.' }),
      call({ id: 'c1', type: 'function', function: { name: 'read', arguments: '' } }),
      call({ function: { arguments: '{"path":' } }),
      call({ function: { arguments: '"a.ts"}' } }),
      { choices: [{ delta: {}, finish_reason: 'tool_calls' }] },
    );
    const outcome = await at().chat(
      {
        messages: [
          { role: 'user', content: 'What is in a.ts?' },
          {
            role: 'assistant',
            content: '',
            toolCalls: [{ id: 'c0', name: 'read', arguments: '{}' }],
          },
          { role: 'tool', content: 'No path.', toolCallId: 'c0' },
        ],
        tools: [{ name: 'read', description: 'Reads.', parameters: { type: 'object' } }],
        ...{ maxTokens: 100, temperature: 0.2 },
      },
      enough,
      new AbortController().signal,
    );
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.equal(outcome.value.text, 'Let me look.');
    assert.deepEqual(outcome.value.toolCalls, [
      { id: 'c1', name: 'read', arguments: '{"path":"a.ts"}' },
    ]);
    const [{ path, body } = none] = server.seen;
    assert.equal(path, '/v1/chat/completions');
    assert.deepEqual(body['messages'], [
      { role: 'user', content: 'What is in a.ts?' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'c0', type: 'function', function: { name: 'read', arguments: '{}' } }],
      },
      { role: 'tool', content: 'No path.', tool_call_id: 'c0' },
    ]);
    assert.deepEqual(body['tools'], [
      {
        type: 'function',
        function: { name: 'read', description: 'Reads.', parameters: { type: 'object' } },
      },
    ]);
  });

  it('is let go of when the request is cancelled, or enough was written', async () => {
    const abort = new AbortController();
    server.reply = (response) => {
      send(response, text('one'));
    };
    const cancelled = await complete(
      {},
      () => {
        abort.abort();
        return false;
      },
      abort.signal,
    );
    assert.ok(!cancelled.ok);
    assert.equal(cancelled.error.code, 'ABORTED');
    await server.closed;

    const stopped = await complete({}, () => true);
    assert.ok(stopped.ok);
    assert.equal(stopped.value.finish, 'stopped');
    assert.equal(stopped.value.text, 'one');
    await server.closed;

    server.reply = () => undefined;
    const waiting = new AbortController();
    const silent = complete({}, enough, waiting.signal);
    const before = server.seen.length;
    while (server.seen.length === before) await new Promise((resolve) => setImmediate(resolve));
    waiting.abort();
    const given = await silent;
    assert.ok(!given.ok && given.error.code === 'ABORTED');
    await server.closed;
  });

  it('reads events however they are cut', async () => {
    server.reply = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const all = Buffer.from(
        `: a comment\r\n\r\ndata: ${JSON.stringify(text('grüße €'))}\r\n\r\ndata: [DONE]\r\n\r\n`,
      );
      let at = 0;
      const next = (): void => {
        if (at === all.length) response.end();
        else response.write(all.subarray(at, (at += 1)), next);
      };
      next();
    };
    const outcome = await complete();
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.equal(outcome.value.text, 'grüße €');
  });

  it('is said to fail where it does, and how', async () => {
    const message = async (more = {}): Promise<string> => {
      const outcome = await complete(more);
      assert.ok(!outcome.ok);
      assert.equal(outcome.error.code, 'SERVER_FAILED');
      return outcome.error.message;
    };
    server.reply = (response) => {
      response
        .writeHead(404)
        .end(JSON.stringify({ error: { message: 'No model [x](command:y).' } }));
    };
    assert.match(
      await message(),
      /answered 404: No model {1,2}x {1,2}\(command:y\)\. Check sightline\.server/,
    );
    server.reply = (response) => {
      response.writeHead(401).end('<html>');
    };
    assert.match(
      await message({ token: 'wrong' }),
      /answered 401\. Use "Sightline: Set Server Token"/,
    );
    server.reply = (response) => {
      response.writeHead(302, { location: 'https://example.com/' }).end();
    };
    assert.match(await message(), /failed: /);
    server.reply = events(text('a'), { error: { message: 'out of memory' } });
    assert.match(await message(), /The server failed: out of memory\./);
    server.reply = (response) => {
      send(response, text('a'));
      response.end();
    };
    assert.match(await message(), /the connection broke off/);
    server.reply = (response) => {
      send(response, 'not JSON');
    };
    assert.match(await message(), /failed: .*JSON/);
    server.reply = (response) => {
      send(response, { choices: 'many' });
    };
    assert.match(await message(), /failed: /);
    server.reply = (response) => {
      send(response, text('a'));
    };
    assert.match(await message({ idleMs: 200 }), /nothing came for 0\.2 s/);
    server.reply = () => undefined;
    assert.match(await message({ idleMs: 100 }), /no answer for 0\.1 s/);
  });

  it('gets no token over a network that is not encrypted', () => {
    const options = { model: 'm', idleMs: 1 };
    const refused = RemoteServer.at({ ...options, url: 'http://gpu.example:8000', token: 's' });
    assert.ok(!refused.ok);
    assert.match(refused.error.message, /is not https: the token is not sent there/);
    assert.ok(RemoteServer.at({ ...options, url: 'http://gpu.example:8000' }).ok);
    assert.ok(RemoteServer.at({ ...options, url: 'https://gpu.example', token: 's' }).ok);
    for (const url of ['', 'gpu:8000', 'file:///x', 'http://user:word@host/']) {
      assert.ok(!RemoteServer.at({ ...options, url }).ok, url);
    }
  });

  it('may publish how full its cache is', async () => {
    const signal = new AbortController().signal;
    assert.equal(await at().usage(signal), undefined);
    server.metrics = 'python_gc_objects 7\n';
    assert.equal(await at().usage(signal), undefined);
    server.metrics = '# HELP\nvllm:kv_cache_usage_perc{engine="0"} 0.25\n';
    assert.deepEqual(await at().usage(signal), { cacheUsage: 0.25 });
  });
});

describe('a sidecar whose model is on a server', () => {
  const server = fakeServer();
  const uri = 'file:///project/a.ts';
  const text = 'const first = 1;\nconst second = \n';
  const cursor = { line: 1, character: 15 };
  const settings = () => ({ server: { url: server.url, model: 'qwen2.5-coder' } });
  const noAddon = () => {
    assert.fail('a model is loaded here');
  };

  it('completes and answers there, and loads nothing here', async () => {
    const { client, close } = serveInProcess({ loadAddon: noAddon, idleMs: 1 });
    server.metrics = 'vllm:kv_cache_usage_perc 0.25\nvllm:num_requests_running 1\n';
    server.reply = events(
      // The last line is not whole, and so not offered.
      { choices: [{ text: '2;\nlet thi', finish_reason: 'length' }] },
      { choices: [], usage: { prompt_tokens: 40, completion_tokens: 5 } },
    );
    await client.initialize(settings());
    await client.connection.sendNotification(ServerTokenNotification, { token: 'secret' });
    await client.open(uri, text);
    const [item] = await client.complete(uri, cursor);
    assert.equal(item?.insertText, '2;');
    const [{ path, authorization, body } = none] = server.seen;
    assert.equal(path, '/v1/completions');
    assert.equal(authorization, 'Bearer secret');
    // The space before the cursor is the model's to write.
    assert.equal(
      body['prompt'],
      '<|fim_prefix|>const first = 1;\nconst second =<|fim_suffix|>\n<|fim_middle|>',
    );
    await client.until(() => client.statuses.at(-1)?.message.includes('25 % full') === true);
    const host = new URL(server.url).host;
    assert.deepEqual(client.statuses.at(-1), {
      state: 'ready',
      message: `qwen2.5-coder on ${host}, its cache 25 % full, requests: 1 running`,
    });
    assert.ok(client.log.some((line) => line.includes('40 tokens on the server')));
    assert.ok(!client.log.some((line) => line.includes('secret')));

    server.reply = events({ choices: [{ delta: { content: 'It is one.' } }] });
    const heard: string[] = [];
    client.connection.onNotification(ChatProgressNotification, (news) => {
      if (news.kind === 'text') heard.push(news.text);
    });
    const answer = await client.connection.sendRequest(ChatRequest, {
      id: 'q',
      messages: [{ role: 'user', content: 'What is first?' }],
      attachments: [{ uri }],
    });
    assert.equal(answer.text, 'It is one.');
    assert.deepEqual(heard, ['It is one.']);
    assert.equal(answer.finish, 'end');
    const [system, question] = server.seen.at(-1)?.body['messages'] as { content: string }[];
    assert.match(system?.content ?? '', /a\.ts:\n```ts\nconst first = 1;/);
    assert.equal(question?.content, 'What is first?');
    // As many as attachments are taken for.
    const texts = ['', 'x'.repeat(30)];
    assert.deepEqual(await client.connection.sendRequest(CountTokensRequest, { texts }), [0, 10]);
    const shown = await client.connection.sendRequest(ModelRequest);
    assert.equal(shown?.name, 'qwen2.5-coder');
    await assert.rejects(
      client.connection.sendRequest(MeasureCacheRequest, { uri }),
      /The model runs on a server .*SERVER_FAILED/,
    );
    await close();
  });

  it('lets go of the server when a request is cancelled, and says why one failed', async () => {
    const { client, close } = serveInProcess({ loadAddon: noAddon, idleMs: 1 });
    server.reply = (response) => {
      send(response, { choices: [{ text: 'two' }] });
    };
    await client.initialize(settings());
    await client.open(uri, text);
    const source = new CancellationTokenSource();
    const asked = client.complete(uri, cursor, { token: source.token });
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    while (server.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    source.cancel();
    await assert.rejects(asked);
    await server.closed;

    server.reply = (response) => {
      response.writeHead(503).end(JSON.stringify({ error: { message: 'loading' } }));
    };
    assert.deepEqual(await client.complete(uri, cursor), []);
    const last = client.statuses.findLast(({ state }) => state === 'error');
    assert.match(last?.message ?? '', /answered 503: loading.*\[SERVER_FAILED\]$/);
    await close();
  });

  it('is sent nothing that looks like a secret', async () => {
    const { client, close } = serveInProcess({ loadAddon: noAddon, idleMs: 1 });
    server.reply = events({ choices: [{ text: '3' }] });
    await client.initialize(settings());
    await client.open('file:///project/.env', 'KEY=hunter2\n');
    assert.deepEqual(await client.complete('file:///project/.env', { line: 1, character: 0 }), []);
    const chat = {
      id: 'q',
      messages: [{ role: 'user' as const, content: 'What is the key?' }],
      attachments: [{ uri: 'file:///project/.env' }],
    };
    const answer = await client.connection.sendRequest(ChatRequest, chat);
    assert.deepEqual(answer.context.leftOut, [{ uri: 'file:///project/.env', reason: 'secret' }]);
    assert.ok(!JSON.stringify(server.seen).includes('hunter2'));
    await close();
  });

  it('goes back to its own model when the setting is taken away', async () => {
    const addon = new FakeAddon();
    const { client, close } = serveInProcess({ loadAddon: () => succeed(addon.loaded), idleMs: 1 });
    server.reply = events({ choices: [{ text: '3' }] });
    await client.initialize(settings());
    await client.open(uri, text);
    await client.complete(uri, cursor);
    assert.ok(server.seen.length > 0);
    assert.ok(!client.statuses.some(({ state }) => state === 'loading'));
    await client.configure({});
    await client.complete(uri, { line: 0, character: 16 });
    assert.ok(client.statuses.some(({ state }) => state === 'loading'));
    await close();
  });
});

describe('metrics', () => {
  it('of vLLM, llama-server and SGLang are read', () => {
    assert.deepEqual(
      readMetrics(
        [
          '# TYPE vllm:num_requests_running gauge',
          'vllm:num_requests_running{engine="0",model_name="m"} 2.0',
          'vllm:num_requests_running{engine="1",model_name="m"} 1.0',
          'vllm:num_requests_waiting{engine="0",model_name="m"} 4.0',
          'vllm:gpu_cache_usage_perc{engine="0",model_name="a {b} c"} 0.5',
          'vllm:gpu_cache_usage_perc{engine="1",model_name="m"} 0.75 1700000000',
        ].join('\n'),
      ),
      { cacheUsage: 0.75, running: 3, waiting: 4 },
    );
    assert.deepEqual(
      readMetrics(
        'llamacpp:kv_cache_usage_ratio 0.125\nllamacpp:kv_cache_tokens 512\nllamacpp:requests_processing 1\r\nllamacpp:requests_deferred 0\n',
      ),
      { cacheUsage: 0.125, cacheTokens: 512, running: 1, waiting: 0 },
    );
    assert.deepEqual(
      readMetrics('sglang:token_usage{tp_rank="0"} 1.5\nsglang:num_used_tokens NaN\n'),
      { cacheUsage: 1 },
    );
    assert.deepEqual(readMetrics('nonsense\n{}\nvllm:kv_cache_usage_perc\n'), {});
  });
});
