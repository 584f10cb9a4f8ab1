import assert from 'node:assert/strict';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  CancellationTokenSource,
  CompletionItemKind,
  DidChangeWorkspaceFoldersNotification,
  InlineCompletionTriggerKind,
  InsertTextFormat,
  InsertTextMode,
  LSPErrorCodes,
  TextDocumentSyncKind,
  WorkDoneProgress,
  type CancellationToken,
} from 'vscode-languageserver/node';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import type { LoadedAddon } from '../../../sidecar/engine/load.ts';
import {
  ChatRequest,
  ClearCacheRequest,
  MemoryForecastRequest,
  CacheStatsRequest,
  ContextRequest,
  DiagnoseRequest,
  InstallGpuRuntimeRequest,
  NextEditRequest,
  ViewNotification,
} from '../../../sidecar/protocol.ts';
import { bundledModelPath } from '../../../sidecar/engine/load.ts';
import { qualityOf } from '../../../sidecar/fit/quality.ts';
import { readLocalHeader } from '../../../sidecar/models/header.ts';
import { cacheBytes } from '../../../sidecar/models/memory.ts';
import { fail, succeed, type Result } from '../../../sidecar/result.ts';
import type { ServerOptions } from '../../../sidecar/server.ts';
import { parseSettings } from '../../../sidecar/settings.ts';
import { Grammars } from '../../../sidecar/syntax/parser.ts';
import { uriOf } from '../../../sidecar/context/workspace.ts';
import { Windows } from '../../../sidecar/windows.ts';
import { folderWith } from '../support/folder.ts';
import { FakeAddon, FakeError, gate, noMarkers, type FakeOptions } from '../support/fakeAddon.ts';
import { serveInProcess } from '../support/inProcess.ts';
import type { LspClient } from '../support/lspClient.ts';

const uri = 'file:///folder/my%20file.ts';
const start = { line: 0, character: 0 };
/** In a document of one letter. */
const end = { line: 0, character: 1 };

// The server's own timers keep no process alive: what a client waits for would never come.
const alive = setInterval(() => undefined, 1000);
after(() => {
  clearInterval(alive);
});

// Nothing is settled, but where a test is about it.
const never = 2 ** 30;

const connect = (
  loadAddon: () => Result<LoadedAddon, Failure>,
  options: Partial<ServerOptions> = {},
): LspClient => serveInProcess({ loadAddon, idleMs: never, ...options }).client;

async function session(
  fake: FakeOptions = {},
  settings?: unknown,
  idleMs = never,
): Promise<{ client: LspClient; addon: FakeAddon }> {
  const addon = new FakeAddon(fake);
  const client = connect(() => succeed(addon.loaded), { idleMs });
  await client.initialize(settings);
  return { client, addon };
}

const isCancelled = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === LSPErrorCodes.RequestCancelled;

describe('server', () => {
  it('says what it can do', async () => {
    const client = connect(() => succeed(new FakeAddon().loaded));
    const { capabilities, serverInfo } = await client.initialize();
    assert.deepEqual(serverInfo, { name: 'Sightline', version: '1.2.3' });
    assert.deepEqual(capabilities.textDocumentSync, {
      openClose: true,
      change: TextDocumentSyncKind.Incremental,
    });
    assert.equal(capabilities.inlineCompletionProvider, true);
  });

  it('completes a document as it is after incremental changes', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'let = 1;\n');
    await client.insert(uri, 2, { line: 0, character: 4 }, 'a ');
    const cursor = { line: 0, character: 6 };
    const items = await client.complete(uri, cursor);
    assert.deepEqual(items, [{ insertText: 'answer', range: { start: cursor, end: cursor } }]);
    const prompt = await addon.engines[0]?.detokenize(
      addon.engines[0].requests[0]?.tokens ?? new Int32Array(),
    );
    // The space before the cursor is the model's to write.
    assert.equal(prompt, 'my file.ts\nlet a= 1;\n');
  });

  it('goes on with what was offered while it is typed, and asks anew where that is wanted', async () => {
    const { client, addon } = await session();
    await client.open(uri, '');
    const offers: unknown[] = [];
    for (const [index, character] of ['', 'a', 'n', 's'].entries()) {
      await client.insert(
        uri,
        index + 2,
        { line: 0, character: Math.max(0, index - 1) },
        character,
      );
      offers.push((await client.complete(uri, { line: 0, character: index }))[0]?.insertText);
    }
    assert.deepEqual(offers, ['answer', 'nswer', 'swer', 'wer']);
    assert.equal(addon.engines[0]?.requests.length, 1);
    const { Invoked } = InlineCompletionTriggerKind;
    await client.complete(uri, { line: 0, character: 3 }, { triggerKind: Invoked });
    // Several candidates.
    assert.equal(addon.engines[0].requests.length, 4);
  });

  it('settles open documents while nothing happens, and completes behind them', async () => {
    const { client, addon } = await session({}, undefined, 1);
    const long = 'line\n'.repeat(300);
    await client.open('file:///other.ts', 'other');
    await client.open(uri, long);
    const inSight = (): number => client.stats.at(-1)?.inSight?.files.length ?? 0;
    await client.complete(uri, { line: 300, character: 0 });
    await client.until(() => inSight() === 2);
    await client.complete(uri, { line: 299, character: 4 });
    const requests = addon.engines[0]?.requests ?? [];
    const settled = requests.findLast(({ maxTokens }) => maxTokens === 0);
    const { tokens, sharedTokens } = requests.at(-1) ?? {};
    assert.deepEqual(tokens?.subarray(0, sharedTokens), settled?.tokens);
    const prompt = await addon.engines[0]?.detokenize(tokens ?? new Int32Array());
    assert.ok(prompt?.startsWith(`other.ts\nothermy file.ts\n${long}my file.ts\n`));
    assert.ok((tokens?.length ?? 0) - (sharedTokens ?? 0) < 512 + 32);

    const page = await client.connection.sendRequest(ContextRequest);
    assert.match(
      page ?? '',
      /^## file:\/\/\/other\.ts: 5 of 5 tokens, settled \(open\)\n\n```\nother\.ts\nother\n```$/m,
    );
    assert.match(page ?? '', /^## .*my%20file\.ts: 1500 of 1500 tokens, settled \(open\)$/m);
    assert.match(page ?? '', /^## .*my%20file\.ts: \d+ tokens before the cursor$/m);
    await client.configure({ threads: 2 });
    assert.equal(await client.connection.sendRequest(ContextRequest), null);
  });

  describe('in a folder', () => {
    const long = (seed: string): string =>
      Array.from({ length: 40 }, (_, i) => `let ${seed}${i} = ${i};\n`).join('');
    const files = {
      'src/main.ts': `import './used.ts';\n${long('main')}`,
      'src/used.ts': long('used'),
      'src/types.ts': long('types'),
      'src/viewed.ts': long('viewed'),
      'src/hidden.ts': long('hidden'),
      '.sightlineignore': 'hidden.ts\n',
    };

    async function workspace(): Promise<{
      client: LspClient;
      addon: FakeAddon;
      uriAt: (name: string) => string;
      inSight: () => string[];
    }> {
      const folder = folderWith(files);
      const addon = new FakeAddon();
      const client = connect(() => succeed(addon.loaded), { idleMs: 1 });
      await client.initialize(undefined, [{ uri: uriOf(folder), name: 'app' }]);
      const uriAt = (name: string): string => uriOf(path.join(folder, 'src', name));
      const inSight = (): string[] =>
        (client.stats.at(-1)?.inSight?.files ?? []).map(
          ({ uri, source }) => `${path.basename(uri)} ${source}`,
        );
      return { client, addon, uriAt, inSight };
    }
    const main = files['src/main.ts'];
    const lineEnd = { line: 1, character: 14 };

    it('adds what the document imports, and what defines names in it', async () => {
      const { client, addon, uriAt, inSight } = await workspace();
      client.definitions = [{ uri: uriAt('types.ts'), line: 3 }];
      await client.open(uriAt('main.ts'), main);
      await client.complete(uriAt('main.ts'), lineEnd);
      await client.until(() => inSight().length === 3);
      assert.deepEqual(inSight(), ['used.ts import', 'types.ts definition', 'main.ts open']);
      const filled = addon.engines[0]?.requests.findLast(({ maxTokens }) => maxTokens === 0);
      const prompt = await addon.engines[0]?.detokenize(filled?.tokens ?? new Int32Array());
      assert.ok(prompt?.startsWith(`app\nsrc/used.ts\n${files['src/used.ts']}`), prompt);
      const page = await client.connection.sendRequest(ContextRequest);
      assert.match(page ?? '', /src\/main\.ts: \d+ tokens before the cursor$/m);
    });

    it('goes on without definitions that do not come in time', async () => {
      const { client, uriAt, inSight } = await workspace();
      client.definitions = undefined;
      await client.open(uriAt('main.ts'), main);
      await client.complete(uriAt('main.ts'), lineEnd);
      await client.until(() => inSight().length === 2);
      assert.deepEqual(inSight(), ['used.ts import', 'main.ts open']);
    });

    it('takes what is looked at for used, and what is pinned for wanted', async () => {
      const { client, uriAt, inSight } = await workspace();
      await client.open(uriAt('viewed.ts'), files['src/viewed.ts']);
      await client.open(uriAt('main.ts'), main);
      await client.complete(uriAt('main.ts'), lineEnd);
      await client.configure({ context: { pinned: ['src/types.ts'], related: false } });
      const view = { uri: uriAt('viewed.ts'), firstLine: 0, lastLine: 9 };
      await client.connection.sendNotification(ViewNotification, view);
      await client.until(() => inSight().length === 3);
      assert.deepEqual(inSight(), ['main.ts open', 'types.ts pinned', 'viewed.ts open']);
      await client.open(uriAt('.env'), 'KEY=1');
      await client.until(() => client.stats.at(-1)?.inSight?.leftOut.length === 1);
      await client.complete(uriAt('main.ts'), lineEnd);
      const page = await client.connection.sendRequest(ContextRequest);
      assert.match(page ?? '', /^## Left out\n\n- file:\S*\.env: secret$/m);
      // Nothing is known of a document that is not open.
      await client.connection.sendNotification(ViewNotification, { ...view, uri: 'file:///x' });
    });

    it('offers nothing in a document that is ignored', async () => {
      const { client, addon, uriAt } = await workspace();
      await client.open(uriAt('hidden.ts'), files['src/hidden.ts']);
      assert.deepEqual(await client.complete(uriAt('hidden.ts'), { line: 0, character: 16 }), []);
      assert.match(client.statuses.at(-1)?.message ?? '', /is in a \.sightlineignore/);
      assert.equal(addon.engines[0]?.requests.length ?? 0, 0);
    });

    it('answers nothing about a document that is ignored', async () => {
      const { client, addon, uriAt } = await workspace();
      const messages = [{ role: 'user' as const, content: files['src/hidden.ts'] }];
      const params = { id: 'one', messages, attachments: [], quoted: uriAt('hidden.ts') };
      await assert.rejects(
        client.connection.sendRequest(ChatRequest, params),
        /hidden\.ts is in a \.sightlineignore.*DOCUMENT_IGNORED/,
      );
      assert.equal(addon.engines[0]?.requests.length ?? 0, 0);
    });

    it('follows the folders that come and go', async () => {
      const { client, addon, uriAt } = await workspace();
      await client.connection.sendNotification(DidChangeWorkspaceFoldersNotification.type, {
        event: { added: [{ uri: 'file:///other', name: 'other' }], removed: [] },
      });
      await client.open(uriAt('main.ts'), 'x');
      await client.complete(uriAt('main.ts'), end);
      const prompt = await addon.engines[0]?.detokenize(
        addon.engines[0].requests[0]?.tokens ?? new Int32Array(),
      );
      assert.equal(prompt, 'app/src/main.ts\nx');
    });
  });

  it('loads with the first document, and tells how that goes', async () => {
    const { client, addon } = await session();
    assert.equal(addon.loads.length, 0);
    assert.equal(await client.connection.sendRequest(CacheStatsRequest), null);
    await client.open(uri, '');
    await client.until(() => client.progress.includes('end') && client.stats.length > 0);
    assert.deepEqual(
      client.statuses.map(({ state }) => state),
      ['ready', 'loading', 'loading', 'ready'],
    );
    assert.deepEqual(client.statuses.at(-1)?.message, 'Fake, 4096 tokens of context');
    assert.deepEqual(client.progress, ['begin', 'report', 'end']);
    assert.equal(addon.loads[0]?.modelPath, '/bundled.gguf');
    assert.deepEqual(addon.loads[0].cache, { policy: 'selective', sink: 16, tier: 'int8' });
    assert.equal(addon.loads[0].selfCheck, true);
  });

  it('reports the cache after a completion', async () => {
    const { client } = await session();
    await client.open(uri, 'abc');
    await client.complete(uri, { line: 0, character: 3 });
    const stats = await client.connection.sendRequest(CacheStatsRequest);
    assert.ok(stats !== null);
    assert.deepEqual(stats, client.stats.at(-1));
    assert.equal(stats.policy, 'selective');
    assert.equal(stats.inSight?.uri, uri);
    assert.equal(stats.inSight.documentTokens, 3);
    assert.equal(stats.decodeTokensPerSecond, 12);
    assert.ok(client.statuses.some(({ state }) => state === 'generating'));
    assert.equal(client.statuses.at(-1)?.state, 'ready');
  });

  it('streams the cache with every piece of text', async () => {
    const answer = ['one', ' two', ' three'];
    const { client } = await session({ answer });
    await client.open(uri, 'abc');
    await client.complete(uri, { line: 0, character: 3 });
    const [load, ...streamed] = client.stats;
    assert.deepEqual([load?.tokens, load?.inSight], [0, undefined]);
    const [first = 0, ...later] = streamed.map(({ tokens }) => tokens);
    assert.deepEqual(later, [first + 4, first + 10, first + 10]);
    assert.ok(streamed.every(({ inSight }) => inSight?.uri === uri));
    assert.deepEqual(
      streamed.map(({ decodeTokensPerSecond }) => decodeTokensPerSecond),
      [undefined, undefined, undefined, 26],
    );
    // While the next one runs, the speed of the latest is still known.
    await client.insert(uri, 2, start, '.');
    await client.complete(uri, start);
    assert.equal(client.stats.at(-2)?.decodeTokensPerSecond, 26);
  });

  it('passes on what the cache lost and what its check found', async () => {
    const check = { asked: 'int8', tier: 'fp16', divergence: 0, bound: 0.01, sameTop: 1 };
    const found = { droppedTokens: 3, degradedTokens: 2, biasedLayers: [1], check };
    const { client } = await session({ stats: found });
    await client.open(uri, 'a');
    await client.until(() => client.stats.length > 0);
    const { droppedTokens, degradedTokens, biasedLayers, check: told } = client.stats[0] ?? {};
    assert.deepEqual({ droppedTokens, degradedTokens, biasedLayers, check: told }, found);
  });

  describe('asked for next edits', () => {
    const folder = fileURLToPath(
      new URL('../../../node_modules/@vscode/tree-sitter-wasm/wasm', import.meta.url),
    );
    const grammars = new Grammars(folder, (message) => {
      throw new Error(message);
    });
    const on = { nextEdit: { enable: true } };

    async function asking(fake: FakeOptions = {}, settings: unknown = on) {
      const addon = new FakeAddon(fake);
      const client = connect(() => succeed(addon.loaded), { grammars });
      await client.initialize(settings);
      const ask = (version: number, token?: CancellationToken) =>
        client.connection.sendRequest(
          NextEditRequest,
          { uri, version, line: 0, character: 8 },
          token,
        );
      return { client, addon, ask };
    }
    const renamed = async (client: LspClient): Promise<void> => {
      await client.open(uri, 'let abc;\nf(abc, abc);\n');
      await client.insert(uri, 2, { line: 0, character: 7 }, 'd');
    };
    /** A call that no longer fits: the model is asked. */
    const extended = async (client: LspClient): Promise<void> => {
      await client.open(uri, 'function f(a) {}\nf(1);\n');
      await client.insert(uri, 2, { line: 0, character: 12 }, ', b');
    };

    it('finds what a rename leaves behind, without the model', async () => {
      const { client, addon, ask } = await asking();
      await renamed(client);
      assert.deepEqual(await ask(2), {
        range: { start: { line: 1, character: 2 }, end: { line: 1, character: 5 } },
        newText: 'abcd',
        why: { kind: 'rename', from: 'abc', to: 'abcd' },
      });
      assert.equal(addon.engines[0]?.requests.length ?? 0, 0);
    });

    it('has the arguments of a call from the model, at the call', async () => {
      const { client, addon, ask } = await asking({ answer: ['1,', ' 2', ');'] });
      await extended(client);
      assert.deepEqual(await ask(2), {
        range: { start: { line: 1, character: 2 }, end: { line: 1, character: 3 } },
        newText: '1, 2',
        why: { kind: 'signature', function: 'f' },
      });
      const prompt = await addon.engines[0]?.detokenize(
        addon.engines[0].requests[0]?.tokens ?? new Int32Array(),
      );
      assert.equal(prompt, 'my file.ts\nfunction f(a, b) {}\nf();\n');
      assert.equal(await client.connection.sendRequest(ContextRequest), null);
    });

    it('answers null while they are off, and follows what is done from when they are on', async () => {
      const { client, ask } = await asking({}, {});
      await renamed(client);
      assert.equal(await ask(2), null);
      await client.configure(on);
      assert.equal(await ask(2), null);
      await client.insert(uri, 3, { line: 1, character: 5 }, 'x');
      assert.equal((await ask(3))?.newText, 'abcx');
      await client.configure({ ...on, enable: false });
      assert.equal(await ask(3), null);
    });

    it('answers null for another version, and for what is not open', async () => {
      const { client, ask } = await asking();
      assert.equal(await ask(1), null);
      await renamed(client);
      assert.equal(await ask(1), null);
      assert.equal(await ask(3), null);
      await client.close(uri);
      assert.equal(await ask(2), null);
    });

    it('says what is wrong with parameters', async () => {
      const { client } = await asking();
      for (const wrong of [{}, { uri, version: 1, line: -1, character: 0 }])
        await assert.rejects(
          client.connection.sendRequest('sightline/nextEdit', wrong),
          (error) => error instanceof Error && 'code' in error && error.code === -32602,
        );
    });

    it('stops the model where the request is cancelled, overtaken, or its document edited or closed', async () => {
      const ends: ((
        client: LspClient,
        source: CancellationTokenSource,
        ask: () => unknown,
      ) => unknown)[] = [
        (_client, source) => {
          source.cancel();
        },
        (_client, _source, ask) => {
          Promise.resolve(ask()).catch(() => undefined);
        },
        (client) => client.insert(uri, 3, start, ' '),
        (client) => client.close(uri),
      ];
      for (const end of ends) {
        const { client, addon, ask } = await asking({ answerGate: gate() });
        await extended(client);
        const source = new CancellationTokenSource();
        const request = ask(2, source.token);
        await client.until(() => client.statuses.at(-1)?.state === 'generating');
        await end(client, source, () => ask(2));
        await assert.rejects(request, isCancelled);
        while (addon.engines[0]?.aborted !== 1) await sleep(1);
      }
    });

    it('lets a completion of the document go first', async () => {
      const answerGate = gate();
      const { client, addon, ask } = await asking({ answer: ['1, 2'], answerGate });
      await extended(client);
      const completion = client.complete(uri, { line: 1, character: 5 });
      await client.until(() => client.statuses.at(-1)?.state === 'generating');
      const request = ask(2);
      answerGate.open();
      assert.equal((await completion).length, 1);
      assert.equal((await request)?.newText, '1, 2');
      assert.equal(addon.engines[0]?.aborted, 0);
    });

    it('fails as the model does', async () => {
      const { client, ask } = await asking({ completeError: new FakeError('OUT_OF_MEMORY') });
      await extended(client);
      await assert.rejects(ask(2), /OUT_OF_MEMORY/);
      assert.equal(client.statuses.at(-1)?.state, 'error');
    });
  });

  it('survives text of a model that other settings have closed', async () => {
    const answerGate = gate();
    const { client, addon } = await session({ answer: ['a', 'b'], answerGate });
    await client.open(uri, 'a');
    const completion = client.complete(uri, end);
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    await client.configure({ cache: { policy: 'full' } });
    await client.until(() => addon.engines[0]?.closed === true);
    answerGate.open();
    assert.equal((await completion).length, 1);
    await client.complete(uri, end);
    assert.equal(client.stats.at(-1)?.policy, 'full');
  });

  it('forecasts nothing, and has nothing to clear, while another model is loaded', async () => {
    let loadGate = gate();
    loadGate.open();
    const options = {
      get loadGate() {
        return loadGate;
      },
    };
    const { client, addon } = await session(options);
    const { connection } = client;
    await client.open(uri, 'a');
    await client.complete(uri, end);
    assert.deepEqual(
      (await connection.sendRequest(MemoryForecastRequest))?.policies.map(({ policy }) => policy),
      ['full', 'selective'],
    );
    loadGate = gate();
    await client.configure({ cache: { policy: 'full' } });
    await client.until(() => addon.loads.length === 2);
    assert.equal(await connection.sendRequest(MemoryForecastRequest), null);
    await connection.sendRequest(ClearCacheRequest);
    loadGate.open();
    assert.equal((await client.complete(uri, end)).length, 1);
  });

  it('says what the profiles would take of the loaded model, and what was measured of them', async () => {
    const addon = new FakeAddon();
    const client = connect(() => succeed(addon.loaded), { bundledModel: bundledModelPath() });
    const overrides = {
      [path.basename(bundledModelPath())]: { tier: 'k8v4', contextTokens: 2048 },
    };
    await client.initialize({ cache: { profile: 'small' }, model: { overrides } });
    await client.open(uri, 'a');
    await client.complete(uri, end);
    assert.deepEqual(addon.loads[0]?.cache, { policy: 'selective', sink: 16, tier: 'k8v4' });
    const forecast = await client.connection.sendRequest(MemoryForecastRequest);
    const { contextTokens } = addon.engines[0]?.info ?? { contextTokens: Number.NaN };
    const header = await readLocalHeader(bundledModelPath(), new AbortController().signal);
    assert.ok(header.ok && forecast !== null);
    for (const { name, bytes, measured } of forecast.profiles) {
      const { cache } = parseSettings({ cache: { profile: name } }).settings;
      assert.equal(bytes, cacheBytes(header.value, contextTokens, cache), name);
      const quality = qualityOf(cache, contextTokens);
      assert.equal(measured?.contextTokens, quality?.contextTokens, name);
      assert.equal(measured?.sameTop, quality && quality.sameTop / 100, name);
    }
    assert.deepEqual(
      forecast.profiles.map(({ name }) => name),
      ['quality', 'balanced', 'small'],
    );
    assert.deepEqual(forecast.overridden, ['tier']);
  });

  it('waits for the load; cancelling the wait leaves the load alone', async () => {
    const loadGate = gate();
    const { client, addon } = await session({ loadGate });
    await client.open(uri, 'a');
    const source = new CancellationTokenSource();
    const cancelled = client.complete(uri, end, { token: source.token });
    source.cancel();
    await assert.rejects(cancelled, isCancelled);
    const waiting = client.complete(uri, end);
    loadGate.open();
    assert.equal((await waiting).length, 1);
    assert.equal(addon.loads.length, 1);
  });

  it('passes $/cancelRequest on to the engine', async () => {
    const { client, addon } = await session({ answerGate: gate() });
    await client.open(uri, 'a');
    const source = new CancellationTokenSource();
    const request = client.complete(uri, end, { token: source.token });
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    source.cancel();
    await assert.rejects(request, isCancelled);
    await client.until(() => client.statuses.at(-1)?.state === 'ready');
    assert.equal(addon.engines[0]?.aborted, 1);
  });

  it('lets a newer request for the same document cancel the older, not for another', async () => {
    const answerGate = gate();
    const { client, addon } = await session({ answerGate });
    await client.open(uri, 'a.');
    await client.open('file:///other.ts', 'b');
    const other = client.complete('file:///other.ts', end);
    const older = client.complete(uri, end);
    older.catch(() => undefined);
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    const newer = client.complete(uri, { line: 0, character: 2 });
    await assert.rejects(older, isCancelled);
    answerGate.open();
    assert.equal((await newer).length, 1);
    assert.equal((await other).length, 1);
    assert.equal(addon.engines[0]?.aborted, 1);
  });

  it('gives up the completion of a document that is closed', async () => {
    const { client } = await session({ answerGate: gate() });
    await client.open(uri, 'a');
    const request = client.complete(uri, end);
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    await client.close(uri);
    await assert.rejects(request, isCancelled);
  });

  it('answers nothing for a document it does not know', async () => {
    const { client } = await session();
    assert.deepEqual(await client.complete('file:///unknown.ts', start), []);
  });

  it('continues the item chosen in the suggest widget', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'console.lo\n');
    const range = { start: { line: 0, character: 8 }, end: { line: 0, character: 10 } };
    const items = await client.complete(uri, range.end, {
      selectedCompletionInfo: { range, text: 'log' },
    });
    assert.deepEqual(items, [{ insertText: 'loganswer', range }]);
    const engine = addon.engines[0];
    const prompt = await engine?.detokenize(engine.requests[0]?.tokens ?? new Int32Array());
    assert.equal(prompt, 'my file.ts\nconsole.log\n');
  });

  it('is off while sightline.enable is false', async () => {
    const { client, addon } = await session({}, { enable: false });
    await client.open(uri, 'a');
    assert.deepEqual(await client.complete(uri, end), []);
    assert.equal(addon.loads.length, 0);
    await client.configure({ enable: true });
    assert.equal((await client.complete(uri, end)).length, 1);
  });

  it('loads again when a setting that matters changes, and only then', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'a');
    await client.complete(uri, end);
    await client.configure({ completion: { maxTokens: 3 } });
    await client.complete(uri, end);
    assert.equal(addon.loads.length, 1);
    assert.equal(addon.engines[0]?.requests.at(-1)?.maxTokens, 3);
    await client.configure({ cache: { policy: 'full' } });
    await client.complete(uri, end);
    assert.equal(addon.loads.length, 2);
    assert.deepEqual(addon.loads[1]?.cache, { policy: 'full' });
    assert.equal(client.stats.at(-1)?.policy, 'full');
  });

  it('shows once what is wrong in the settings and goes on with defaults', async () => {
    const { client, addon } = await session({}, { threads: 'many', wndow: 1 });
    await client.configure({ threads: 'many', wndow: 1 });
    await client.open(uri, 'a');
    assert.equal((await client.complete(uri, end)).length, 1);
    assert.equal(addon.loads[0]?.threads, 0);
    assert.equal(client.shown.length, 2);
    assert.equal(
      client.shown[0],
      'sightline.threads must be a whole number from 0 to 256, not "many"; the default is used.',
    );
    assert.match(client.shown[1] ?? '', /^sightline\.wndow is not one of the settings: enable, /);
  });

  it('says what is wrong with a model, once, and answers nothing', async () => {
    const { client } = await session({
      loadError: new FakeError('MODEL_INVALID', '/m.gguf is truncated. Download it again.'),
    });
    await client.open(uri, 'a');
    for (let i = 0; i < 3; i++) assert.deepEqual(await client.complete(uri, end), []);
    assert.deepEqual(client.statuses.at(-1), {
      state: 'error',
      message: '/m.gguf is truncated. Download it again. [MODEL_INVALID]',
    });
    assert.equal(client.statuses.filter(({ state }) => state === 'error').length, 1);
    assert.deepEqual(client.shown, []);
    assert.ok(client.progress.includes('end'));
  });

  it('says that the addon is missing', async () => {
    const client = connect(() => ({
      ok: false,
      error: { code: 'ADDON_MISSING', message: 'Build it.' },
    }));
    await client.initialize();
    await client.open(uri, 'a');
    await client.until(() => client.statuses.at(-1)?.state === 'error');
    assert.equal(client.statuses.at(-1)?.message, 'Build it. [ADDON_MISSING]');
  });

  it('tells a failed completion in the status and recovers', async () => {
    const { client, addon } = await session({ completeError: new FakeError('OUT_OF_MEMORY') });
    await client.open(uri, 'a');
    assert.deepEqual(await client.complete(uri, end), []);
    assert.equal(client.statuses.at(-1)?.state, 'error');
    addon.options = {};
    assert.equal((await client.complete(uri, end)).length, 1);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
  });

  it('shares the bound on memory with the other windows', async () => {
    const windowsFolder = path.join(folderWith({}), 'windows');
    const addon = new FakeAddon();
    const client = connect(() => succeed(addon.loaded), { windowsFolder });
    await client.initialize({ cache: { budgetMiB: 100 } });
    await client.open(uri, 'a');
    await client.complete(uri, end);
    const other = new Windows(windowsFolder, () => undefined, 'other');
    await other.join();
    await client.until(() => / 50 MiB of cache beside 1 other window$/.test(last()));
    other.leave();
    await client.until(() => !/beside/.test(last()));
    const budgets = addon.engines[0]?.budgets.map((bytes) => bytes / 2 ** 20);
    assert.deepEqual(budgets, [100, 50, 100]);
    await client.connection.sendRequest('shutdown');
    function last(): string {
      return client.statuses.at(-1)?.message ?? '';
    }
  });

  it('puts what is open into a cache with other settings too, whatever the user does', async () => {
    const { client, addon } = await session({}, undefined, 1);
    await client.open(uri, 'line\n'.repeat(300));
    const isFilled = (engine: number): boolean =>
      addon.engines[engine]?.requests.some(({ maxTokens }) => maxTokens === 0) === true;
    await client.until(() => isFilled(0));
    await client.configure({ cache: { policy: 'full' } });
    await client.until(() => isFilled(1));
  });

  it('does with less of the files where there is no memory for a prompt', async () => {
    const { client, addon } = await session({}, undefined, 1);
    await client.open('file:///other.ts', 'x'.repeat(400));
    await client.open(uri, 'a');
    await client.complete(uri, end);
    await client.until(() => client.stats.at(-1)?.inSight?.files.length === 1);
    addon.options = { mostTokens: 300 };
    await client.insert(uri, 2, end, '.');
    assert.equal((await client.complete(uri, { line: 0, character: 2 })).length, 1);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
    const { tokens } = client.stats.at(-1)?.inSight?.files[0] ?? {};
    assert.ok(tokens !== undefined && tokens > 100 && tokens < 300, String(tokens));
  });

  it('warns that a model without markers sees only the prefix', async () => {
    const { client } = await session({ info: { fim: noMarkers } });
    await client.open(uri, 'a');
    await client.complete(uri, { line: 0, character: 1 });
    const status = client.statuses.at(-1);
    assert.equal(status?.state, 'warning');
    assert.match(status.message, /^Fake has no fill-in-the-middle tokens/);
  });

  it('says why a binary document gets no completion', async () => {
    const { client } = await session();
    await client.open(uri, 'a\0b');
    assert.deepEqual(await client.complete(uri, end), []);
    assert.equal(client.statuses.at(-1)?.state, 'warning');
    assert.match(client.statuses.at(-1)?.message ?? '', /my file\.ts holds NUL characters/);
    await client.insert(uri, 2, start, 'x');
    await client.open('file:///text.ts', 'a');
    await client.complete('file:///text.ts', end);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
  });

  it('answers nothing for an empty offer', async () => {
    const { client } = await session({ answer: ['\n  \n'] });
    await client.open(uri, 'a');
    assert.deepEqual(await client.complete(uri, end), []);
  });

  it('installs the GPU runtime with progress, and can be stopped', async () => {
    const client = connect(() => succeed(new FakeAddon().loaded), {
      installRuntime: (onProgress, signal) =>
        new Promise((resolve) => {
          onProgress(0.25);
          onProgress(0.2501);
          onProgress(0.5);
          signal.addEventListener('abort', () => {
            resolve(fail({ code: 'ABORTED', message: 'The installation was cancelled.' }));
          });
        }),
    });
    await client.initialize();
    const seen: unknown[] = [];
    const source = new CancellationTokenSource();
    const enough = new Promise<void>((resolve) => {
      client.connection.onProgress(WorkDoneProgress.type, 'token', (news) => {
        seen.push(news);
        if (seen.length === 2) resolve();
      });
    });
    const given = { workDoneToken: 'token' };
    const request = client.connection.sendRequest(InstallGpuRuntimeRequest, given, source.token);
    await enough;
    source.cancel();
    await assert.rejects(request, isCancelled);
    assert.deepEqual(seen, [
      { kind: 'report', percentage: 25 },
      { kind: 'report', percentage: 50 },
    ]);
  });

  it('says why the GPU runtime cannot be installed', async () => {
    const { client } = await session();
    await assert.rejects(
      client.connection.sendRequest(InstallGpuRuntimeRequest, {}),
      /There is no GPU\. \[GPU_UNAVAILABLE\]/,
    );
  });

  it('diagnoses what there is, with and without a GPU', async () => {
    const gpu = {
      name: 'Some GPU',
      capability: '8.6',
      cuda: '13.0',
      totalBytes: 12 * 2 ** 30,
      freeBytes: 11 * 2 ** 30,
      compilesKernels: false,
    };
    const report = async (fake: FakeOptions, settings?: unknown): Promise<string> => {
      const { client } = await session(fake, settings);
      await client.open(uri, 'a');
      await client.complete(uri, end);
      return client.connection.sendRequest(DiagnoseRequest);
    };
    const text = await report({ gpu, info: { gpu, gpuLayers: 1 } });
    assert.match(text, /^# Sightline 1\.2\.3$/m);
    assert.match(text, /^- \*\*State:\*\* ready: Fake, .*, on Some GPU \(12 GiB, CUDA 13\.0\)$/m);
    assert.match(text, /^- \*\*GPU:\*\* Some GPU, .* 11\.0 GiB of 12\.0 GiB free/m);
    assert.match(text, /^- \*\*Engine:\*\* llama\.cpp v1/m);
    assert.match(text, /"fp16Bytes"/);
    const partly = await report({ gpu, info: { gpu, layers: 28, gpuLayers: 20 } });
    assert.match(partly, /, 20 of 28 layers on Some GPU \(/m);
    const without = await report({ info: { gpuReason: 'No GPU.' } }, { gpu: { use: 'off' } });
    assert.match(without, /on the CPU\. No GPU\./);
    assert.match(without, /\[GPU_UNAVAILABLE\]$/m);
    assert.match(without, /Switched off/);
  });

  describe('for an editor that knows no inline completions', () => {
    const listing = async (
      fake: FakeOptions = {},
      more: Partial<ServerOptions> = {},
    ): Promise<{ client: LspClient; addon: FakeAddon }> => {
      const addon = new FakeAddon(fake);
      const client = connect(() => succeed(addon.loaded), more);
      const { capabilities } = await client.initialize(undefined, [], {});
      assert.ok(capabilities.completionProvider?.triggerCharacters?.includes('.'));
      return { client, addon };
    };

    it('lists completions, and for others does not', async () => {
      const { client } = await listing();
      const other = connect(() => succeed(new FakeAddon().loaded));
      assert.equal((await other.initialize()).capabilities.completionProvider, undefined);
      await client.open(uri, 'let = 1;\n');
      const cursor = { line: 0, character: 4 };
      assert.deepEqual(await client.list(uri, cursor), [
        {
          ...{ label: 'answer', kind: CompletionItemKind.Text, detail: 'Sightline' },
          ...{ sortText: '!', filterText: 'answer', insertText: 'answer' },
          ...{ insertTextFormat: InsertTextFormat.PlainText },
          insertTextMode: InsertTextMode.asIs,
          textEdit: { range: { start: cursor, end: cursor }, newText: 'answer' },
        },
      ]);
    });

    it('lets the word at the cursor and all lines of the completion be one item', async () => {
      const { client } = await listing({ answer: ['Line(\n', '  1,\n', ');'] });
      await client.open(uri, 'const übe\n');
      const [item] = await client.list(uri, { line: 0, character: 9 });
      const newText = 'übeLine(\n  1,\n);';
      const range = { start: { line: 0, character: 6 }, end: { line: 0, character: 9 } };
      assert.deepEqual(item?.textEdit, { range, newText });
      assert.ok(item.filterText === newText && item.insertText === newText);
      assert.equal(item.label, 'übeLine( …');
      const value = `\`\`\`typescript\n${newText}\n\`\`\``;
      assert.deepEqual(item.documentation, { kind: 'markdown', value });
    });

    it('goes on with what it listed while that is typed', async () => {
      const { client, addon } = await listing({ answer: ['call(a)'] });
      await client.open(uri, '');
      await client.list(uri, start);
      await client.insert(uri, 2, start, 'ca');
      const [item] = await client.list(uri, { line: 0, character: 2 });
      const range = { start, end: { line: 0, character: 2 } };
      assert.deepEqual(item?.textEdit, { range, newText: 'call(a)' });
      // What the editor closed by itself is replaced.
      await client.insert(uri, 3, { line: 0, character: 2 }, 'll()');
      const cursor = { line: 0, character: 5 };
      const [rest] = await client.list(uri, cursor);
      const behind = { start: cursor, end: { line: 0, character: 6 } };
      assert.deepEqual(rest?.textEdit, { range: behind, newText: 'a)' });
      assert.equal(addon.engines[0]?.requests.length, 1);
    });

    it('ends what is cancelled, and what a newer request follows', async () => {
      const answerGate = gate();
      const { client } = await listing({ answerGate });
      await client.open(uri, 'a');
      const source = new CancellationTokenSource();
      const cancelled = assert.rejects(client.list(uri, end, source.token), isCancelled);
      await client.until(() => client.statuses.at(-1)?.state === 'generating');
      source.cancel();
      await cancelled;
      const followed = assert.rejects(client.list(uri, end), isCancelled);
      const last = client.list(uri, end);
      await followed;
      answerGate.open();
      assert.equal((await last)[0]?.insertText, 'aanswer');
    });

    it('lists nothing where nothing is offered', async () => {
      const { client, addon } = await listing({ answer: ['  \n'] });
      await client.open(uri, 'a b');
      assert.deepEqual(await client.list(uri, start), []);
      assert.deepEqual(await client.list('file:///unknown.ts', start), []);
      assert.equal(addon.engines[0]?.requests.length ?? 0, 0);
      assert.deepEqual(await client.list(uri, { line: 0, character: 3 }), []);
      await assert.rejects(client.connection.sendRequest('textDocument/completion', {}));
      await client.configure({ enable: false });
      assert.deepEqual(await client.list(uri, { line: 0, character: 3 }), []);
    });
  });

  it('takes settings under its name, and leaves them alone where there are none', async () => {
    // Helix sends `config` as both.
    const { client, addon } = await session({}, { sightline: { completion: { maxTokens: 5 } } });
    await client.connection.sendNotification('workspace/didChangeConfiguration', {
      settings: { completion: { maxTokens: 7 } },
    });
    await client.open(uri, 'a');
    await client.complete(uri, end);
    assert.equal(addon.engines[0]?.requests[0]?.maxTokens, 5);
    assert.deepEqual(client.shown, []);
  });

  it('takes what the command line says for what the client leaves out', async () => {
    const addon = new FakeAddon();
    const defaults = { cache: { policy: 'hierarchical', span: 99 } };
    const client = connect(() => succeed(addon.loaded), { defaults });
    await client.initialize({ threads: 2, cache: { span: 'far', profile: 'small' } });
    await client.open(uri, 'a');
    await client.complete(uri, end);
    assert.equal(addon.loads[0]?.threads, 2);
    assert.deepEqual(addon.loads[0].cache, { policy: 'hierarchical', sink: 16, span: 99 });
    assert.match(client.shown[0] ?? '', /cache\.span must be .*, not "far"/);
  });

  it('frees the model at shutdown', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'a');
    await client.complete(uri, end);
    await client.connection.sendRequest('shutdown');
    assert.equal(addon.engines[0]?.closed, true);
  });
});
