import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  bundle,
  bundledModel,
  endOf,
  settings,
  source,
  startSidecar,
  stopSidecar,
  type Sidecar,
} from './support.ts';

const uri = 'file:///a.ts';
/** Of `let a`. */
const end = { line: 0, character: 5 };
const message = (body: string | Buffer): Buffer => {
  const bytes = Buffer.from(body);
  return Buffer.concat([Buffer.from(`Content-Length: ${bytes.length}\r\n\r\n`), bytes]);
};

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sightline-'));
});
after(() => rm(folder, { recursive: true }));

async function completes({ client }: Sidecar): Promise<void> {
  const text = `${source(5)}\nexport function add5(value: number): number {\n  return `;
  await client.open('file:///works.ts', text);
  const items = await client.complete('file:///works.ts', endOf(text));
  assert.equal(items.length, 1);
}

describe('models that cannot be used', () => {
  const files: Readonly<
    Record<string, { readonly code: string; readonly write: (path: string) => Promise<void> }>
  > = {
    missing: { code: 'MODEL_NOT_FOUND', write: () => Promise.resolve() },
    empty: { code: 'MODEL_INVALID', write: (path) => writeFile(path, '') },
    text: { code: 'MODEL_INVALID', write: (path) => writeFile(path, 'This is not a model.\n') },
    truncated: {
      code: 'MODEL_INVALID',
      write: async (path) => {
        await cp(bundledModel, path);
        await truncate(path, 2_000_000);
      },
    },
    corrupt: {
      code: 'MODEL_INVALID',
      write: async (path) => {
        const bytes = await readFile(bundledModel);
        bytes.fill(0xff, 16, 24);
        await writeFile(path, bytes);
      },
    },
  };

  it('are named with what to do, give empty answers, and make way for a good one', async () => {
    const sidecar = startSidecar();
    const { client } = sidecar;
    await client.initialize(settings);
    await client.open(uri, 'let a');
    for (const [name, { code, write }] of Object.entries(files)) {
      const path = join(folder, `${name}.gguf`);
      await write(path);
      await client.configure({ ...settings, model: { path } });
      for (let i = 0; i < 2; i++) assert.deepEqual(await client.complete(uri, end), [], name);
      const status = client.statuses.at(-1);
      assert.equal(status?.state, 'error', name);
      assert.ok(status.message.includes(path), status.message);
      assert.ok(status.message.endsWith(`[${code}]`), status.message);
    }
    await client.configure({ ...settings, model: { contextTokens: 1_000_000 } });
    assert.deepEqual(await client.complete(uri, end), []);
    assert.match(client.statuses.at(-1)?.message ?? '', /contextTokens.*\[BAD_ARGUMENT\]$/);
    await client.configure(settings);
    await completes(sidecar);
    assert.equal(await stopSidecar(sidecar), 0);
  });
});

describe('a bundle without its native part', () => {
  for (const [name, code] of [
    ['missing', 'ADDON_MISSING'],
    ['broken', 'ADDON_UNLOADABLE'],
  ] as const) {
    it(`${name}: says so and stays alive`, async () => {
      const home = join(folder, name);
      await mkdir(join(home, 'dist', 'native'), { recursive: true });
      await writeFile(join(home, 'package.json'), '{ "version": "0.0.0" }');
      await cp(bundle, join(home, 'dist', 'sidecar.mjs'));
      if (name === 'broken') {
        await writeFile(join(home, 'dist', 'native', 'sightline.node'), 'no library');
      }
      const sidecar = startSidecar(join(home, 'dist', 'sidecar.mjs'));
      await sidecar.client.initialize();
      await sidecar.client.open(uri, 'let a');
      assert.deepEqual(await sidecar.client.complete(uri, end), []);
      const status = sidecar.client.statuses.at(-1);
      assert.equal(status?.state, 'error');
      assert.ok(status.message.endsWith(`[${code}]`), status.message);
      assert.equal(await stopSidecar(sidecar), 0);
    });
  }
});

describe('settings that are not understood', () => {
  it('are shown, and the defaults work', async () => {
    const sidecar = startSidecar();
    await sidecar.client.initialize({ ...settings, cache: { policy: 'int4', snik: 3 } });
    await completes(sidecar);
    assert.equal(sidecar.client.shown.length, 2);
    assert.match(sidecar.client.shown.join('\n'), /cache\.policy must be.*\n.*cache\.snik is not/);
    assert.equal(sidecar.client.stats.at(-1)?.policy, 'selective');
    assert.equal(await stopSidecar(sidecar), 0);
  });
});

describe('malformed messages', () => {
  it('that are not JSON are answered with a parse error; the session goes on', async () => {
    const sidecar = startSidecar();
    let received = '';
    sidecar.process.stdout.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    await sidecar.client.initialize(settings);
    sidecar.process.stdin.write(message('{ "jsonrpc": "2.0", "id": 7, '));
    for (const body of ['null', '42', '[]', '{}', '{"jsonrpc":"2.0","method":3}', '"x"']) {
      sidecar.process.stdin.write(message(body));
    }
    await completes(sidecar);
    assert.match(received, /"id":null,"error":\{"code":-32700,/);
    assert.match(sidecar.stderr(), /^sightline: a message is not valid JSON: /);
    assert.equal(await stopSidecar(sidecar), 0);
  });

  it('with an unknown method or bad parameters are answered with an error', async () => {
    const sidecar = startSidecar();
    const { client } = sidecar;
    await client.initialize(settings);
    await assert.rejects(client.connection.sendRequest('sightline/nothing'), { code: -32601 });
    for (const params of [null, {}, { textDocument: { uri: 3 } }, []]) {
      await assert.rejects(client.connection.sendRequest('textDocument/inlineCompletion', params), {
        code: -32602,
      });
    }
    await client.connection.sendNotification('textDocument/didChange', { textDocument: null });
    await client.connection.sendNotification('workspace/didChangeConfiguration', {});
    await client.configure(settings);
    await completes(sidecar);
    assert.equal(await stopSidecar(sidecar), 0);
  });

  it('without a header end the sidecar with exit code 3', async () => {
    for (const garbage of ['hello\r\n\r\n', 'Content-Length: many\r\n\r\n{}', 'X: 1\r\n\r\n{}']) {
      const sidecar = startSidecar();
      sidecar.process.stdin.write(garbage);
      assert.equal(await sidecar.ended, 3, garbage);
      assert.match(sidecar.stderr(), /^sightline: stdin does not carry LSP messages: /);
    }
  });

  it('with invalid UTF-8 in a document become replacement characters', async () => {
    const sidecar = startSidecar();
    await sidecar.client.initialize(settings);
    const [head, tail] = JSON.stringify({
      jsonrpc: '2.0',
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'ts', version: 1, text: 'let a = "@";\n' } },
    }).split('@');
    sidecar.process.stdin.write(
      message(
        Buffer.concat([
          Buffer.from(head ?? ''),
          Buffer.from([0xff, 0xc3]),
          Buffer.from(tail ?? ''),
        ]),
      ),
    );
    await sidecar.client.complete(uri, { line: 1, character: 0 });
    assert.equal(sidecar.client.statuses.at(-1)?.state, 'ready');
    assert.ok((sidecar.client.stats.at(-1)?.inSight?.documentTokens ?? 0) > 0);
    assert.equal(await stopSidecar(sidecar), 0);
  });
});

describe('the end of the sidecar', () => {
  const running = async (): Promise<Sidecar> => {
    const sidecar = startSidecar();
    await sidecar.client.initialize({ ...settings, completion: { maxTokens: 1024 } });
    const text = source(300);
    await sidecar.client.open(uri, text);
    sidecar.client.complete(uri, endOf(text)).catch(() => undefined);
    await sidecar.client.until(() => sidecar.client.statuses.at(-1)?.state === 'generating');
    return sidecar;
  };

  it('is regular in the middle of a completion', async () => {
    const sidecar = await running();
    assert.equal(await stopSidecar(sidecar), 0);
    assert.equal(sidecar.stderr(), '');
  });

  it('comes with exit code 1 after exit without shutdown', async () => {
    const sidecar = await running();
    await sidecar.client.connection.sendNotification('exit');
    assert.equal(await sidecar.ended, 1);
  });

  it('comes with exit code 1 and a line when the client is gone', async () => {
    const sidecar = await running();
    sidecar.process.stdin.end();
    assert.equal(await sidecar.ended, 1);
    assert.equal(
      sidecar.stderr(),
      'sightline: the client closed the connection without shutdown and exit\n',
    );
  });

  it('leaves nothing behind that keeps the next one from working', async () => {
    const killed = await running();
    killed.process.kill('SIGKILL');
    assert.equal(await killed.ended, 'SIGKILL');
    const next = startSidecar();
    await next.client.initialize(settings);
    await completes(next);
    assert.equal(await stopSidecar(next), 0);
  });
});
