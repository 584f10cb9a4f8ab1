/** `sightline serve` with the bundled model, asked by processes of their own: over HTTP, and by an editor that knows little. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { uriOf } from '../../sidecar/context/workspace.ts';
import { CacheStatsRequest } from '../../sidecar/protocol.ts';
import { RemoteServer } from '../../sidecar/remote/server.ts';
import { ask, bodyOf, dataOf, errorOf, token, type Answered } from '../unit/support/api.ts';
import {
  bundle,
  cacheHome,
  endOf,
  root,
  runCommand,
  source,
  startSidecar,
  stopSidecar,
  type Sidecar,
} from './support.ts';

const model = 'sightline-tiny-code-q8_0';
const text = source(40);

interface Server {
  readonly url: string;
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<unknown>;
  stderr(): string;
  /** Resolves once it has said so on stderr. */
  said(what: RegExp): Promise<void>;
}

const started: ChildProcessWithoutNullStreams[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
});

async function serve(
  options: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Server> {
  const child = spawn(
    process.execPath,
    [bundle, 'serve', '--openai', '0', '--threads', '1', ...options],
    { cwd: root, env: { ...process.env, XDG_CACHE_HOME: cacheHome, ...env } },
  );
  started.push(child);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]: unknown[]) => code);
  const [line] = (await Promise.race([
    once(child.stdout, 'data'),
    ended.then((code) => assert.fail(`it ended with ${String(code)}: ${stderr}`)),
  ])) as [Buffer];
  const said = async (what: RegExp): Promise<void> => {
    while (!what.test(stderr)) await once(child.stderr, 'data');
  };
  return { url: line.toString().trim(), process: child, ended, stderr: () => stderr, said };
}

describe('serve --openai', () => {
  let server: Server;
  const post = (path: string, body: object): Promise<Answered> => ask(server.url + path, { body });
  const chatting = (content: string): object => ({ messages: [{ role: 'user', content }] });

  before(async () => {
    server = await serve([], { SIGHTLINE_TOKEN: token });
  });
  after(async () => {
    server.process.kill('SIGTERM');
    assert.equal(await server.ended, 0);
    assert.doesNotMatch(server.stderr(), /unexpected|\[[A-Z_]+\]/);
  });

  it('is on this machine alone, and says which model it has', async () => {
    assert.match(server.url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    const models = await ask(`${server.url}/models`);
    assert.match(models.text, new RegExp(`"id":"${model}".*"max_model_len":8192`));
    assert.ok(!server.stderr().includes(token));
  });

  it('continues a text, and takes it from the cache when it comes again', async () => {
    const asked = { model, prompt: text, max_tokens: 20 };
    const first = bodyOf(await post('/completions', asked));
    assert.ok((first.choices[0]?.text ?? '').length > 0);
    assert.equal(first.choices[0]?.finish_reason, 'length');
    assert.equal(first.usage?.completion_tokens, 20);
    const again = bodyOf(await post('/completions', asked));
    assert.equal(again.choices[0]?.text, first.choices[0].text);
    const { prompt_tokens: all = 0, prompt_tokens_details: details } = again.usage ?? {};
    assert.ok(all > 500 && details?.cached_tokens === all - 1, JSON.stringify(again.usage));
    // What begins as it did is in the cache as far as that goes.
    const longer = bodyOf(await post('/completions', { prompt: `${text}\nexport`, max_tokens: 1 }));
    assert.ok((longer.usage?.prompt_tokens_details.cached_tokens ?? 0) > all - 10);
  });

  it('streams what it would answer', async () => {
    for (const [path, asked] of [
      ['/completions', { prompt: text, max_tokens: 24 }],
      ['/chat/completions', { ...chatting('Add two numbers.'), max_tokens: 24, temperature: 0 }],
    ] as const) {
      const whole = bodyOf(await post(path, asked));
      const include = { stream_options: { include_usage: true } };
      const pieces = dataOf((await post(path, { ...asked, stream: true, ...include })).text);
      const streamed = pieces
        .map(({ choices: [one] }) => one?.text ?? one?.delta?.content ?? '')
        .join('');
      const [choice] = whole.choices;
      assert.equal(streamed, choice?.text ?? choice?.message?.content);
      assert.equal(pieces.at(-2)?.choices[0]?.finish_reason, choice?.finish_reason);
      assert.equal(pieces.at(-1)?.usage?.completion_tokens, whole.usage?.completion_tokens);
      assert.ok(pieces.length > 10);
    }
  });

  it('fills in between two texts', async () => {
    const at = text.indexOf('  return value + 20;');
    const [prompt, suffix] = [text.slice(0, at), text.slice(at)];
    const filled = bodyOf(await post('/completions', { prompt, suffix, max_tokens: 12 }));
    const plain = bodyOf(await post('/completions', { prompt, max_tokens: 12 }));
    const behind = (filled.usage?.prompt_tokens ?? 0) - (plain.usage?.prompt_tokens ?? 0);
    assert.ok(behind > 300, `${behind} tokens behind the cursor`);
    // With markers that the client has set it is the same prompt.
    const marked = `<|fim_prefix|><|fim_suffix|>${suffix}<|fim_middle|>${prompt}`;
    const by = bodyOf(await post('/completions', { prompt: marked, max_tokens: 12 }));
    assert.equal(by.usage?.prompt_tokens, filled.usage?.prompt_tokens);
  });

  it('stops where it is told to', async () => {
    const asked = { prompt: text, max_tokens: 60 };
    const all = bodyOf(await post('/completions', asked)).choices[0]?.text ?? '';
    const stop = all.slice(20, 24);
    const { choices } = bodyOf(await post('/completions', { ...asked, stop }));
    assert.equal(choices[0]?.text, all.slice(0, all.indexOf(stop)));
    assert.equal(choices[0].finish_reason, 'stop');
  });

  it('gives the same text for the same seed', async () => {
    const asked = { prompt: text, max_tokens: 30, temperature: 1.5 };
    const written = async (seed: number): Promise<string | undefined> =>
      bodyOf(await post('/completions', { ...asked, seed })).choices[0]?.text;
    const [one, again, other] = [await written(7), await written(7), await written(8)];
    assert.equal(one, again);
    assert.notEqual(one, other);
  });

  it('goes on with a conversation from the cache', async () => {
    const question = chatting(`What does add3 return?\n${text}`);
    const first = bodyOf(await post('/chat/completions', { ...question, max_tokens: 10 }));
    const again = bodyOf(await post('/chat/completions', { ...question, max_tokens: 10 }));
    assert.equal(first.choices[0]?.message?.role, 'assistant');
    const { prompt_tokens: all = 0, prompt_tokens_details: details } = again.usage ?? {};
    assert.equal(details?.cached_tokens, all - 1);
  });

  it('refuses what it cannot do', async () => {
    assert.equal((await ask(`${server.url}/models`, {}, 'wrong')).status, 401);
    const headers = { origin: 'https://example.org' };
    assert.equal((await ask(`${server.url}/models`, { headers })).status, 403);
    assert.equal((await ask(`${server.url}/completions`, { body: '{' })).status, 400);
    assert.equal(errorOf(await post('/completions', { prompt: 5 })).param, 'prompt');
    const long = await post('/completions', { prompt: text.repeat(20) });
    assert.equal(long.status, 400);
    assert.match(errorOf(long).message, /^prompt has \d+ tokens, and the context of 8192/);
    const tools = [{ type: 'function', function: { name: 'read' } }];
    const called = await post('/chat/completions', { ...chatting('a'), tools });
    assert.match(errorOf(called).message, /no place for them/);
  });

  it('stops to compute when the client has left, and answers the next', async () => {
    for (const [path, body] of [
      ['/completions', { prompt: text, max_tokens: 4000 }],
      [
        '/chat/completions',
        { ...chatting('Write add100 to add110.'), max_tokens: 4000, temperature: 0 },
      ],
    ] as const) {
      const leaving = new AbortController();
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...body, stream: true }),
        signal: leaving.signal,
      });
      assert.equal(response.status, 200);
      await response.body?.getReader().read();
      leaving.abort();
      // It says so once the engine has ended the work.
      await server.said(new RegExp(`POST /v1${path}: given up by the client`));
      assert.equal((await post('/completions', { prompt: 'let a', max_tokens: 2 })).status, 200);
    }
  });

  it('answers several at once, each as if it were alone', async () => {
    const completion = { prompt: text, max_tokens: 16 };
    const talk = { ...chatting('Add two numbers.'), max_tokens: 150, temperature: 0 };
    const alone = [
      await post('/chat/completions', talk),
      await post('/completions', completion),
    ].map((answer) => bodyOf(answer).choices);
    const together = await Promise.all([
      post('/chat/completions', talk),
      post('/completions', completion),
      post('/completions', { ...completion, prompt: 'let a' }),
      post('/completions', completion),
    ]);
    const [talked, completed, , last] = together.map((answer) => bodyOf(answer).choices);
    assert.deepEqual([talked, completed, last], [alone[0], alone[1], alone[1]]);
  });

  it('is a server that Sightline itself can ask', async () => {
    const remote = RemoteServer.at({ url: server.url, model, token, idleMs: 60_000 });
    assert.ok(remote.ok);
    const { signal } = new AbortController();
    const at = text.indexOf('  return value + 20;');
    const asked = { prefix: text.slice(0, at), suffix: text.slice(at), temperature: 0 };
    const outcome = await remote.value.complete({ ...asked, maxTokens: 12 }, () => false, signal);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.ok(outcome.value.text.length > 0 && (outcome.value.promptTokens ?? 0) > 500);
  });
});

describe('serve --lsp', () => {
  const start = (...options: string[]): Sidecar =>
    startSidecar(bundle, ['serve', '--lsp', '--threads', '1', ...options]);
  const unfinished = `${source(20)}\nexport function add20(value: number): number {\n  return `;

  it('lists completions for a client that knows no others and sends no settings', async () => {
    const folder = mkdtempSync(join(cacheHome, 'project-'));
    writeFileSync(join(folder, '.sightlineignore'), 'hidden.ts\n');
    const [uri, hidden] = ['app.ts', 'hidden.ts'].map((name) => uriOf(join(folder, name))) as [
      string,
      string,
    ];
    const sidecar = start();
    const { client } = sidecar;
    const folders = [{ uri: uriOf(folder), name: 'project' }];
    const { capabilities } = await client.initialize(undefined, folders, {});
    assert.ok(capabilities.completionProvider !== undefined);
    await client.open(uri, unfinished);
    await client.open(hidden, unfinished);
    const place = endOf(unfinished);
    const [item] = await client.list(uri, place);
    assert.ok(item !== undefined && item.detail === 'Sightline');
    assert.match(item.insertText ?? '', /\S/);
    // The same as is shown in the text elsewhere.
    const [inline] = await client.complete(uri, place);
    assert.equal(item.insertText, inline?.insertText);
    assert.deepEqual(await client.list(hidden, place), []);

    // Typing what it says is answered without the model.
    const asked = client.log.filter((line) => line.includes('tokens in sight')).length;
    const first = item.insertText?.slice(0, 1) ?? '';
    await client.insert(uri, 2, place, first);
    const [rest] = await client.list(uri, { ...place, character: place.character + 1 });
    assert.ok(rest?.insertText?.endsWith(item.insertText?.slice(1) ?? ''), rest?.insertText);
    assert.equal(client.log.filter((line) => line.includes('tokens in sight')).length, asked);
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  it('takes settings from its command line, and those of the client before', async () => {
    const sidecar = start('--cache', 'full', '--max-new-tokens', '3');
    await sidecar.client.initialize({ sightline: { completion: { maxTokens: 2 } } });
    await sidecar.client.open('file:///app.ts', unfinished);
    await sidecar.client.complete('file:///app.ts', endOf(unfinished));
    const stats = await sidecar.client.connection.sendRequest(CacheStatsRequest);
    assert.equal(stats?.policy, 'full');
    assert.match(sidecar.client.log.at(-1) ?? '', /, [012] decoded at/);
    assert.equal(await stopSidecar(sidecar), 0);
  });

  it('ends with its editor', async () => {
    const sidecar = start();
    await sidecar.client.initialize(undefined, [], {});
    sidecar.process.stdin.end();
    assert.equal(await sidecar.ended, 1);
    assert.match(sidecar.stderr(), /the client closed the connection/);
  });
});

describe('the command line of serve', () => {
  it('makes up a token where there is none, and ends by Ctrl-C', async () => {
    const server = await serve();
    const made = /the token is (\S{20,})$/m.exec(server.stderr())?.[1] ?? '';
    assert.equal((await ask(`${server.url}/models`, {}, made)).status, 200);
    assert.equal((await ask(`${server.url}/models`)).status, 401);
    server.process.kill('SIGINT');
    assert.equal(await server.ended, 0);
  });

  it('takes the token from a file before that of the environment, and the cache from the options', async () => {
    const file = join(cacheHome, 'token');
    writeFileSync(file, 'from-a-file\n');
    const options = ['--token-file', file, '--cache', 'full', '--context', '512'];
    const server = await serve(options, { SIGHTLINE_TOKEN: token });
    const models = await ask(`${server.url}/models`, {}, 'from-a-file');
    assert.match(models.text, /"max_model_len":512/);
    server.process.kill('SIGTERM');
    assert.equal(await server.ended, 0);
  });

  it('says what to do where it is used wrongly', async () => {
    const wrong: readonly [args: readonly string[], said: RegExp, code?: number][] = [
      [[], /with one of them: --lsp for an editor, --openai PORT for other tools/],
      [['--lsp', '--openai', '0'], /with only one of them/],
      [['--openai'], /argument missing/],
      [['--openai', '65536'], /must be a port from 0 to 65535, not "65536"/],
      [['--openai', '0', '--tier', 'int3'], /--tier must be one of/],
      [['--openai', '0', '--max-new-tokens', '5'], /--max-new-tokens goes with --lsp/],
      [['--lsp', '--token-file', 'x'], /--token-file goes with --openai/],
      [['--openai', '0', '--token-file', '/nowhere'], /ENOENT/, 5],
    ];
    for (const [args, said, code = 2] of wrong) {
      const run = await runCommand(['serve', ...args]);
      assert.equal(run.code, code, args.join(' '));
      assert.match(run.stderr, said);
      assert.equal(run.stdout, '');
    }
    const run = await runCommand(['serve', '--openai', '0'], undefined, { SIGHTLINE_TOKEN: 'ä b' });
    assert.equal(run.code, 2);
    assert.match(run.stderr, /SIGHTLINE_TOKEN must hold a token/);
    const help = await runCommand(['serve', '--help']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Examples:\n {2}sightline serve --lsp$/m);
  });
});
