import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import {
  CancellationTokenSource,
  createConnection,
  InlineCompletionTriggerKind,
  LSPErrorCodes,
  StreamMessageReader,
  StreamMessageWriter,
  TextDocumentSyncKind,
  WorkDoneProgress,
} from 'vscode-languageserver/node';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import type { LoadedAddon } from '../../../sidecar/engine/load.ts';
import { SelfChecks } from '../../../sidecar/engine/selfChecks.ts';
import {
  CacheStatsRequest,
  ContextRequest,
  DiagnoseRequest,
  InstallGpuRuntimeRequest,
} from '../../../sidecar/protocol.ts';
import { fail, succeed, type Result } from '../../../sidecar/result.ts';
import { serve, type ServerOptions } from '../../../sidecar/server.ts';
import { FakeAddon, FakeError, gate, noMarkers, type FakeOptions } from '../support/fakeAddon.ts';
import { LspClient } from '../support/lspClient.ts';

const uri = 'file:///folder/my%20file.ts';
const start = { line: 0, character: 0 };

const installsNothing: ServerOptions['installRuntime'] = () =>
  Promise.resolve(fail({ code: 'GPU_UNAVAILABLE', message: 'There is no GPU.' }));

function connect(
  loadAddon: () => Result<LoadedAddon, Failure>,
  installRuntime = installsNothing,
  // Never, but where a test is about it.
  idleMs = 2 ** 30,
): LspClient {
  const toServer = new PassThrough();
  const toClient = new PassThrough();
  const connection = createConnection(
    new StreamMessageReader(toServer),
    new StreamMessageWriter(toClient),
  );
  serve(connection, {
    version: '1.2.3',
    bundledModel: '/bundled.gguf',
    loadAddon,
    installRuntime,
    selfChecks: new SelfChecks('/nowhere'),
    idleMs,
  });
  connection.listen();
  return new LspClient(toClient, toServer);
}

async function session(
  fake: FakeOptions = {},
  settings?: unknown,
  idleMs?: number,
): Promise<{ client: LspClient; addon: FakeAddon }> {
  const addon = new FakeAddon(fake);
  const client = connect(() => succeed(addon.loaded), installsNothing, idleMs);
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
    assert.equal(addon.engines[0].requests.length, 2);
  });

  it('settles open documents while nothing happens, and completes behind them', async () => {
    const { client, addon } = await session({}, undefined, 1);
    const long = 'line\n'.repeat(300);
    await client.open('file:///other.ts', 'other');
    await client.open(uri, long);
    const inSight = (): number => client.stats.at(-1)?.inSight?.files.length ?? 0;
    await client.complete(uri, { line: 300, character: 0 });
    await client.until(() => inSight() === 2);
    await client.complete(uri, { line: 299, character: 0 });
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
      /^## file:\/\/\/other\.ts: 5 of 5 tokens, settled\n\n```\nother\.ts\nother\n```$/m,
    );
    assert.match(page ?? '', /^## .*my%20file\.ts: 1500 of 1500 tokens, settled$/m);
    assert.match(page ?? '', /^## .*my%20file\.ts: \d+ tokens before the cursor$/m);
    await client.configure({ threads: 2 });
    assert.equal(await client.connection.sendRequest(ContextRequest), null);
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

  it('survives text of a model that other settings have closed', async () => {
    const answerGate = gate();
    const { client, addon } = await session({ answer: ['a', 'b'], answerGate });
    await client.open(uri, 'a');
    const completion = client.complete(uri, start);
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    await client.configure({ cache: { policy: 'full' } });
    await client.until(() => addon.engines[0]?.closed === true);
    answerGate.open();
    assert.equal((await completion).length, 1);
    await client.complete(uri, start);
    assert.equal(client.stats.at(-1)?.policy, 'full');
  });

  it('waits for the load; cancelling the wait leaves the load alone', async () => {
    const loadGate = gate();
    const { client, addon } = await session({ loadGate });
    await client.open(uri, 'a');
    const source = new CancellationTokenSource();
    const cancelled = client.complete(uri, start, { token: source.token });
    source.cancel();
    await assert.rejects(cancelled, isCancelled);
    const waiting = client.complete(uri, start);
    loadGate.open();
    assert.equal((await waiting).length, 1);
    assert.equal(addon.loads.length, 1);
  });

  it('passes $/cancelRequest on to the engine', async () => {
    const { client, addon } = await session({ answerGate: gate() });
    await client.open(uri, 'a');
    const source = new CancellationTokenSource();
    const request = client.complete(uri, start, { token: source.token });
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    source.cancel();
    await assert.rejects(request, isCancelled);
    assert.equal(addon.engines[0]?.aborted, 1);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
  });

  it('lets a newer request for the same document cancel the older, not for another', async () => {
    const answerGate = gate();
    const { client, addon } = await session({ answerGate });
    await client.open(uri, 'a');
    await client.open('file:///other.ts', 'b');
    const other = client.complete('file:///other.ts', start);
    const older = client.complete(uri, start);
    older.catch(() => undefined);
    await client.until(() => client.statuses.at(-1)?.state === 'generating');
    const newer = client.complete(uri, start);
    await assert.rejects(older, isCancelled);
    answerGate.open();
    assert.equal((await newer).length, 1);
    assert.equal((await other).length, 1);
    assert.equal(addon.engines[0]?.aborted, 1);
  });

  it('gives up the completion of a document that is closed', async () => {
    const { client } = await session({ answerGate: gate() });
    await client.open(uri, 'a');
    const request = client.complete(uri, start);
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
    assert.deepEqual(await client.complete(uri, start), []);
    assert.equal(addon.loads.length, 0);
    await client.configure({ enable: true });
    assert.equal((await client.complete(uri, start)).length, 1);
  });

  it('loads again when a setting that matters changes, and only then', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'a');
    await client.complete(uri, start);
    await client.configure({ completion: { maxTokens: 3 } });
    await client.complete(uri, start);
    assert.equal(addon.loads.length, 1);
    assert.equal(addon.engines[0]?.requests.at(-1)?.maxTokens, 3);
    await client.configure({ cache: { policy: 'full' } });
    await client.complete(uri, start);
    assert.equal(addon.loads.length, 2);
    assert.deepEqual(addon.loads[1]?.cache, { policy: 'full' });
    assert.equal(client.stats.at(-1)?.policy, 'full');
  });

  it('shows once what is wrong in the settings and goes on with defaults', async () => {
    const { client, addon } = await session({}, { threads: 'many', wndow: 1 });
    await client.configure({ threads: 'many', wndow: 1 });
    await client.open(uri, 'a');
    assert.equal((await client.complete(uri, start)).length, 1);
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
    for (let i = 0; i < 3; i++) assert.deepEqual(await client.complete(uri, start), []);
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
    assert.deepEqual(await client.complete(uri, start), []);
    assert.equal(client.statuses.at(-1)?.state, 'error');
    addon.options = {};
    assert.equal((await client.complete(uri, start)).length, 1);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
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
    assert.deepEqual(await client.complete(uri, start), []);
    assert.equal(client.statuses.at(-1)?.state, 'warning');
    assert.match(client.statuses.at(-1)?.message ?? '', /my file\.ts holds NUL characters/);
    await client.insert(uri, 2, start, 'x');
    await client.open('file:///text.ts', 'a');
    await client.complete('file:///text.ts', start);
    assert.equal(client.statuses.at(-1)?.state, 'ready');
  });

  it('answers nothing for an empty offer', async () => {
    const { client } = await session({ answer: ['\n  \n'] });
    await client.open(uri, 'a');
    assert.deepEqual(await client.complete(uri, start), []);
  });

  it('installs the GPU runtime with progress, and can be stopped', async () => {
    const client = connect(
      () => succeed(new FakeAddon().loaded),
      (onProgress, signal) =>
        new Promise((resolve) => {
          onProgress(0.25);
          onProgress(0.2501);
          onProgress(0.5);
          signal.addEventListener('abort', () => {
            resolve(fail({ code: 'ABORTED', message: 'The installation was cancelled.' }));
          });
        }),
    );
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
      await client.complete(uri, start);
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

  it('frees the model at shutdown', async () => {
    const { client, addon } = await session();
    await client.open(uri, 'a');
    await client.complete(uri, start);
    await client.connection.sendRequest('shutdown');
    assert.equal(addon.engines[0]?.closed, true);
  });
});
