import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CancellationTokenSource,
  InlineCompletionTriggerKind,
  LSPErrorCodes,
} from 'vscode-languageserver/node';
import { CacheStatsRequest, type CacheStats } from '../../sidecar/protocol.ts';
import { endOf, settings, source, startSidecar, stopSidecar, type Sidecar } from './support.ts';

const uri = 'file:///project/src/app.ts';
const isCancelled = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === LSPErrorCodes.RequestCancelled;

function assertPlausible(stats: CacheStats | undefined): asserts stats is CacheStats {
  assert.ok(stats !== undefined);
  assert.equal(
    stats.tiers.reduce((sum, { bytes }) => sum + bytes, 0),
    stats.bytes,
  );
  assert.ok(stats.bytes > 0 && stats.bytes <= stats.reservedBytes);
  // The bundled model takes 2 KiB a token in FP16.
  assert.equal(stats.fp16Bytes, stats.tokens * 2048);
  assert.ok(stats.tokens <= stats.contextTokens);
}

/** What the log says of the latest completion. */
function reused({ client }: Sidecar): number {
  const line = client.log.findLast((message) => message.includes('tokens in sight')) ?? '';
  return Number(/(\d+) reused/.exec(line)?.[1]);
}

/** What of a file is in the cache, apart from the lines around the cursor. */
function settled({ client }: Sidecar, file: string): { tokens: number; whole: boolean } {
  const files = client.stats.at(-1)?.inSight?.files ?? [];
  const found = files.find((one) => one.uri === file);
  const { tokens = 0, documentTokens = Infinity } = found ?? {};
  return { tokens, whole: tokens === documentTokens };
}

describe('a session with an editor that is not VS Code', () => {
  let sidecar: Sidecar;
  let version = 1;
  const text = `${source(40)}\nexport function add40(value: number): number {\n  return `;

  before(async () => {
    sidecar = startSidecar();
    const { capabilities } = await sidecar.client.initialize(settings);
    assert.equal(capabilities.inlineCompletionProvider, true);
  });
  after(async () => {
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  it('loads the bundled model with progress and completes', async () => {
    const { client } = sidecar;
    await client.open(uri, text);
    const [item] = await client.complete(uri, endOf(text));
    assert.ok(item !== undefined && typeof item.insertText === 'string');
    assert.match(item.insertText, /\S/);
    assert.ok(client.statuses.some(({ state }) => state === 'loading'));
    assert.equal(client.statuses.at(-1)?.state, 'ready');
    assert.equal(client.progress[0], 'begin');
    assert.equal(client.progress.at(-1), 'end');
  });

  it('puts the whole file into the cache while nothing happens, and completes behind it', async () => {
    const { client } = sidecar;
    await client.until(() => settled(sidecar, uri).whole);
    const { tokens } = settled(sidecar, uri);
    const { Invoked } = InlineCompletionTriggerKind;
    await client.complete(uri, endOf(text), { triggerKind: Invoked });
    assert.ok(reused(sidecar) >= tokens, `${reused(sidecar)} of ${tokens}`);
    assertPlausible(client.stats.at(-1));
  });

  it('accounts for the cache', async () => {
    const { client } = sidecar;
    const stats = client.stats.at(-1);
    assertPlausible(stats);
    assert.deepEqual(await client.connection.sendRequest(CacheStatsRequest), stats);
    assert.equal(stats.policy, 'selective');
    assert.equal(stats.contextTokens, 8192);
    assert.ok(stats.fp16Bytes > stats.bytes);
    const sight = stats.inSight;
    assert.equal(sight?.uri, uri);
    const live = sight.prefixTokens + sight.suffixTokens;
    assert.ok(live > 0 && live <= 512);
    assert.equal(live + sight.omittedBefore + sight.omittedAfter, sight.documentTokens);
  });

  it('streams the account while it generates', async () => {
    const { client } = sidecar;
    await client.configure({ ...settings, completion: { maxTokens: 512 } });
    // Of no language whose syntax would end the answer early.
    const notes = 'file:///project/notes.txt';
    await client.open(notes, text);
    const told = client.stats.length;
    await client.complete(notes, endOf(text));
    const latest = client.stats.slice(told).map(({ tokens }) => tokens);
    assert.ok(new Set(latest).size > 2, String(latest));
    assert.deepEqual(
      latest,
      latest.toSorted((a, b) => a - b),
    );
    await client.close(notes);
    await client.configure(settings);
  });

  it('reuses the cached prefix while typing, and answers the same to the same', async () => {
    const { client } = sidecar;
    const first = await client.complete(uri, endOf(text));
    await client.insert(uri, ++version, endOf(text), 'v');
    await client.complete(uri, endOf(`${text}v`));
    const prefix = client.stats.at(-1)?.inSight?.prefixTokens ?? Infinity;
    // A cut inside a quantised block is evaluated again from the block's start.
    assert.ok(reused(sidecar) >= prefix - 128 - 8, `${reused(sidecar)} of ${prefix}`);
    await client.open('file:///project/src/again.ts', text);
    await client.complete('file:///project/src/again.ts', endOf(text));
    await client.connection.sendNotification('textDocument/didChange', {
      textDocument: { uri, version: ++version },
      contentChanges: [{ text }],
    });
    assert.deepEqual(await client.complete(uri, endOf(text)), first);
  });

  it('stops the engine when a request is cancelled, and when a newer one comes', async () => {
    const { client } = sidecar;
    await client.configure({ ...settings, completion: { maxTokens: 1024 } });
    // Of no language whose syntax would end the answer early.
    const notes = 'file:///project/long.txt';
    let text = source(300);
    let edits = 1;
    await client.open(notes, text);
    const type = async (): Promise<void> => {
      const odd = `§${++edits} `;
      await client.insert(notes, edits, endOf(text), odd);
      text += odd;
    };
    // The model may have answered before it is told to stop: then it is asked for something else.
    let isStopped = false;
    while (!isStopped) {
      await type();
      const source1 = new CancellationTokenSource();
      const request = client.complete(notes, endOf(text), { token: source1.token });
      const told = client.statuses.length;
      await client.until(() =>
        client.statuses.slice(told).some(({ state }) => state === 'generating'),
      );
      source1.cancel();
      isStopped = await request.then(() => false, isCancelled);
    }
    await type();
    const older = client.complete(notes, endOf(text));
    const rejected = assert.rejects(older, isCancelled);
    const newer = client.complete(notes, endOf(text));
    await rejected;
    assert.ok((await newer).length <= 1);
    assertPlausible(client.stats.at(-1));
    await client.close(notes);
    await client.configure(settings);
  });

  it('keeps what is nearest the cursor of a document that does not fit, and counts the rest', async () => {
    const { client } = sidecar;
    const functions = source(400);
    const lines = functions.split('\n').length;
    await client.open('file:///project/src/huge.ts', functions);
    const huge = 'file:///project/src/huge.ts';
    await client.complete(huge, { line: lines - 300, character: 0 });
    await client.until(() => settled(sidecar, huge).tokens > 7000);
    const sight = client.stats.at(-1)?.inSight;
    assert.ok(sight !== undefined);
    assert.ok(sight.documentTokens > 10_000);
    assert.ok(sight.omittedBefore > 0 && sight.omittedAfter > 0);
    const seen = sight.prefixTokens + sight.suffixTokens;
    assert.equal(seen + sight.omittedBefore + sight.omittedAfter, sight.documentTokens);
    assert.ok(settled(sidecar, huge).tokens < 8192 && !settled(sidecar, huge).whole);
    assertPlausible(client.stats.at(-1));
  });

  it('takes every text an editor may hold', async () => {
    const { client } = sidecar;
    const texts = {
      'empty.ts': '',
      'crlf.ts': 'const a = 1;\r\nconst b = ',
      'emoji.ts': 'const smile = "😀🎉";\nconst other = ',
      'lone.ts': 'const half = "\uD83D";\nconst other = ',
      'replaced.ts': 'const bytes = "\uFFFD\uFFFD";\nconst other = ',
      'markers.ts': 'const fim = "<|fim_prefix|><|fim_middle|><|endoftext|>";\nconst other = ',
      'long-line.ts': `const line = "${'abc '.repeat(50_000)}";\nconst other = `,
    };
    for (const [name, content] of Object.entries(texts)) {
      await client.open(`file:///${name}`, content);
      await client.complete(`file:///${name}`, endOf(content));
      assert.equal(client.statuses.at(-1)?.state, 'ready', name);
    }
  });

  it('gives a binary document no completion and says why', async () => {
    const { client } = sidecar;
    await client.open('file:///image.png', '\x89PNG\0\0\0');
    assert.deepEqual(await client.complete('file:///image.png', { line: 0, character: 4 }), []);
    assert.equal(client.statuses.at(-1)?.state, 'warning');
    assert.match(client.statuses.at(-1)?.message ?? '', /image\.png .* \[DOCUMENT_BINARY\]$/);
  });

  it('completes in a document of 50 MB', async () => {
    const { client } = sidecar;
    const huge = 'export const row = [1, 2, 3];\n'.repeat(1_750_000);
    await client.open('file:///huge.ts', huge);
    const middle = { line: 900_000, character: 29 };
    await client.complete('file:///huge.ts', middle);
    await client.insert('file:///huge.ts', 2, middle, '\nexport const other = ');
    await client.complete('file:///huge.ts', { line: 900_001, character: 21 });
    const sight = client.stats.at(-1)?.inSight;
    assert.ok(sight !== undefined && sight.documentTokens > 10_000_000);
    assert.ok(sight.prefixTokens > 200);
    await client.until(() => settled(sidecar, 'file:///huge.ts').tokens > 6000);
    await client.close('file:///huge.ts');
  });

  it('takes other settings at run time', async () => {
    const { client } = sidecar;
    await client.configure({ ...settings, cache: { policy: 'full' } });
    await client.complete(uri, endOf(text));
    const stats = client.stats.at(-1);
    assertPlausible(stats);
    assert.equal(stats.policy, 'full');
    assert.ok(stats.tiers.every(({ name }) => name !== 'int8'));
  });
});
