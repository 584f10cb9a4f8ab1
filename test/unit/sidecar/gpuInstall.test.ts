import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { create } from 'tar';
import { downloadOptions } from '../../../sidecar/download/file.ts';
import type { Gpu } from '../../../sidecar/engine/addon.ts';
import { installRuntime, packageFor, registryOf } from '../../../sidecar/gpu/install.ts';
import { runtimePackages } from '../../../sidecar/gpu/packages.ts';

const file = 'bins/some/libggml-cuda.so';

const ignore: (fraction: number) => void = () => undefined;

describe('installRuntime', () => {
  let folder = '';
  let archive = Buffer.alloc(0);
  let server: Server;
  let registry = '';
  /** How the next download is answered. */
  let answer: 'whole' | 'half' | 'missing' = 'whole';
  const ranges: (string | undefined)[] = [];
  const options = { ...downloadOptions, retries: 0 };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sightline-'));
    await mkdir(join(folder, 'made/package/bins/some'), { recursive: true });
    // What cannot be compressed takes several pieces to arrive.
    const library = Buffer.from(Array.from({ length: 400_000 }, (_, i) => (i * i) % 251));
    await writeFile(join(folder, 'made/package', file), library);
    await writeFile(join(folder, 'made/package/other.so'), 'not needed');
    await create({ gzip: true, cwd: join(folder, 'made'), file: join(folder, 'made.tgz') }, [
      'package',
    ]);
    archive = await readFile(join(folder, 'made.tgz'));
    server = createServer((request, response) => {
      if (answer === 'missing' || request.url !== '/@node-llama-cpp/some/-/some-1.0.0.tgz') {
        response.writeHead(404).end();
        return;
      }
      ranges.push(request.headers.range);
      const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const rest = archive.subarray(from);
      const range = { 'content-range': `bytes ${from}-${archive.length - 1}/${archive.length}` };
      const length = { 'content-length': rest.length };
      if (from > 0) response.writeHead(206, { ...length, ...range });
      else response.writeHead(200, length);
      if (answer === 'whole') response.end(rest);
      else response.write(rest.subarray(0, rest.length / 2));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  const install = (
    target: string,
    {
      sha512 = createHash('sha512').update(archive).digest('base64'),
      wanted = file,
      abort = new AbortController(),
      onProgress = ignore,
    } = {},
  ) =>
    installRuntime(
      {
        package: { name: 'some', version: '1.0.0', sha512, file: wanted, cudaVersion: 13 },
        folder: join(folder, target),
        registry,
      },
      onProgress,
      abort.signal,
      options,
    );

  /** What is there besides the beginning of an archive. */
  const left = async (target: string): Promise<string[]> => {
    const names = await readdir(join(folder, target)).catch(() => []);
    return names.filter((name) => name !== 'some-1.0.0.tgz.incomplete');
  };

  const failure = async (...args: Parameters<typeof install>) => {
    const outcome = await install(...args);
    assert.ok(!outcome.ok);
    assert.deepEqual(await left(args[0]), [], 'something is left');
    return outcome.error;
  };

  it('takes the library out of the package, once', async () => {
    answer = 'whole';
    const fractions: number[] = [];
    const outcome = await install('good', { onProgress: (fraction) => fractions.push(fraction) });
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.equal(outcome.value, join(folder, 'good/some-1.0.0', file));
    assert.deepEqual(
      await readFile(outcome.value),
      await readFile(join(folder, 'made/package', file)),
    );
    assert.deepEqual(await readdir(join(folder, 'good/some-1.0.0')), ['bins']);
    assert.equal(fractions.at(-1), 1);
    answer = 'missing';
    assert.ok((await install('good')).ok);
  });

  it('keeps nothing of another package than the pinned one', async () => {
    answer = 'whole';
    const { code, message } = await failure('other', { sha512: 'AAAA' });
    assert.equal(code, 'DOWNLOAD_FAILED');
    assert.match(message, /its hash is another one.*nothing of it was kept/);
    assert.match((await failure('other', { wanted: 'no.so' })).message, /has no no\.so/);
  });

  it('says so where the registry has no such package, or cannot be reached', async () => {
    answer = 'missing';
    assert.match((await failure('missing')).message, /answered 404/);
    const outcome = await installRuntime(
      {
        package: { name: 'some', version: '1.0.0', sha512: '', file, cudaVersion: 13 },
        folder: join(folder, 'offline'),
        registry: 'http://127.0.0.1:1',
      },
      () => undefined,
      new AbortController().signal,
      options,
    );
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'DOWNLOAD_FAILED');
    assert.match(outcome.error.message, /127\.0\.0\.1:1 cannot be reached.*npm_config_registry/);
  });

  it('keeps what has arrived when it is cancelled half way, and goes on from there', async () => {
    answer = 'half';
    const abort = new AbortController();
    const { code } = await failure('half', {
      abort,
      onProgress: () => {
        abort.abort();
      },
    });
    assert.equal(code, 'ABORTED');
    answer = 'whole';
    const outcome = await install('half');
    assert.ok(outcome.ok, JSON.stringify(outcome));
    assert.match(ranges.at(-1) ?? '', /^bytes=[1-9]\d*-$/);
    assert.deepEqual(await readdir(join(folder, 'half')), ['some-1.0.0']);
  });

  it('says what to do where it cannot write', async () => {
    answer = 'whole';
    await writeFile(join(folder, 'a file'), '');
    const { code, message } = await failure('a file');
    assert.equal(code, 'WRITE_FAILED');
    assert.match(message, /cannot be written to .*a file/);
  });
});

describe('packageFor', () => {
  const gpu = (cuda: string): Gpu => ({
    name: 'Some GPU',
    capability: '8.6',
    cuda,
    totalBytes: 1,
    freeBytes: 1,
    compilesKernels: false,
  });

  it('takes the newest CUDA that the driver knows', () => {
    const version = (cuda: string) => {
      const found = packageFor(gpu(cuda), 'linux-x64');
      return found.ok ? found.value.cudaVersion : found.error.message;
    };
    assert.equal(version('13.1'), 13);
    assert.equal(version('12.4'), 12);
    assert.match(String(version('11.8')), /CUDA 12 or newer is needed/);
    const elsewhere = packageFor(gpu('13.0'), 'darwin-arm64');
    assert.ok(!elsewhere.ok && elsewhere.error.code === 'GPU_UNAVAILABLE');
  });

  it('is of the release of the libraries beside the addon', async () => {
    const manifest = JSON.parse(
      await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
    ) as { optionalDependencies: Record<string, string> };
    for (const { name, version, sha512 } of Object.values(runtimePackages).flat()) {
      assert.equal(version, manifest.optionalDependencies['@node-llama-cpp/linux-x64'], name);
      assert.equal(Buffer.from(sha512, 'base64').length, 64);
    }
  });

  it("comes from npm's registry, or the one that npm is told to use", () => {
    assert.equal(registryOf({}), 'https://registry.npmjs.org');
    assert.equal(registryOf({ npm_config_registry: 'http://mirror/npm/' }), 'http://mirror/npm');
  });
});
