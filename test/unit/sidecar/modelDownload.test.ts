import assert from 'node:assert/strict';
import { lstat, mkdir, open, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { downloadOptions, type DownloadOptions } from '../../../sidecar/download/file.ts';
import { downloadModel } from '../../../sidecar/models/download.ts';
import { hubOf, lookUp, type Hub, type Repository } from '../../../sidecar/models/hub.ts';
import { cachedModels, hubCacheFolder } from '../../../sidecar/models/hubCache.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import type { Result } from '../../../sidecar/result.ts';
import { cut, fakeHub, sha256, stall, status, whole, withoutRanges } from '../support/fakeHub.ts';
import { folderWith } from '../support/folder.ts';

/** Never twice the same within its length. */
const contentOf = (length: number, seed: number): Buffer =>
  Buffer.from(Array.from({ length }, (_, i) => (i * i + (i >> 8) + seed) % 251));

const name = 'some/Model-GGUF';
const file = 'model-q8_0.gguf';
const content = contentOf(400_000, 1);

describe('downloading a model', () => {
  const hub = fakeHub();
  let cache = '';
  let waits: number[] = [];
  let options: DownloadOptions;
  /** Resolves when the first bytes of a test have. */
  let arrived: Promise<void>;
  let noteArrival = (): void => undefined;

  beforeEach(() => {
    hub.reset();
    hub.repositories.set(name, { files: { [file]: content } });
    cache = join(folderWith({}), 'hub');
    waits = [];
    arrived = new Promise((resolve) => (noteArrival = resolve));
    options = {
      ...downloadOptions,
      retries: 3,
      wait: (ms) => {
        waits.push(ms);
        return Promise.resolve();
      },
    };
  });

  const connect = (token?: string): Hub => {
    const found = hubOf(token, { HF_ENDPOINT: `${hub.endpoint}/` }, options);
    assert.ok(found.ok);
    return found.value;
  };

  const signal = (): AbortSignal => new AbortController().signal;

  const repositoryOf = async (token?: string): Promise<Repository> => {
    const found = await lookUp(connect(token), name, signal());
    assert.ok(found.ok, JSON.stringify(found));
    return found.value;
  };

  interface Asked {
    readonly token?: string;
    readonly abort?: AbortController;
    readonly onBytes?: (done: number, total: number) => void;
  }

  const download = async ({ token, abort, onBytes }: Asked = {}): Promise<
    Result<string, Failure>
  > => {
    const repository = await repositoryOf(token);
    const model = repository.models[0];
    assert.ok(model !== undefined);
    return downloadModel(
      { hub: connect(token), repository, model, cache, options },
      (done, total) => {
        noteArrival();
        onBytes?.(done, total);
      },
      abort?.signal ?? signal(),
    );
  };

  const downloaded = async (asked: Asked = {}): Promise<string> => {
    const outcome = await download(asked);
    assert.ok(outcome.ok, JSON.stringify(outcome));
    return outcome.value;
  };

  const failed = async (asked: Asked = {}): Promise<Failure> => {
    const outcome = await download(asked);
    assert.ok(!outcome.ok);
    return outcome.error;
  };

  const blob = (of = content): string =>
    join(cache, 'models--some--Model-GGUF', 'blobs', sha256(of));
  const partial = (of = content): Promise<Buffer | undefined> =>
    readFile(`${blob(of)}.incomplete`).catch(() => undefined);
  const leave = async (bytes: Buffer): Promise<void> => {
    await mkdir(join(blob(), '..'), { recursive: true });
    await writeFile(`${blob()}.incomplete`, bytes);
  };

  it('puts it where Hugging Face’s tools find it, once', async () => {
    const told: [number, number][] = [];
    const path = await downloaded({ onBytes: (...all) => told.push(all) });
    const commit = hub.commitOf(name);
    assert.equal(path, join(cache, 'models--some--Model-GGUF', 'snapshots', commit, file));
    assert.deepEqual(await readFile(path), content);
    if ((await lstat(path)).isSymbolicLink()) {
      assert.equal(await readlink(path), join('..', '..', 'blobs', sha256(content)));
    }
    assert.equal(
      await readFile(join(cache, 'models--some--Model-GGUF', 'refs', 'main'), 'utf8'),
      commit,
    );
    assert.deepEqual(told.at(-1), [content.length, content.length]);
    assert.ok(told.every(([done], i) => i === 0 || done >= (told[i - 1]?.[0] ?? 0)));
    assert.deepEqual(await cachedModels(cache), [
      { repository: name, name: file, path, bytes: content.length },
    ]);
    assert.deepEqual(await readdir(join(cache, '.locks', 'models--some--Model-GGUF')), []);

    assert.equal(await downloaded(), path);
    assert.deepEqual(hub.ranges(), [undefined]);
  });

  it('takes a blob that another name has brought', async () => {
    await downloaded();
    hub.repositories.set(name, { files: { 'renamed-q8_0.gguf': content } });
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.equal(hub.ranges().length, 1);
  });

  it('goes on where the connection broke off', async () => {
    hub.next.push(cut(100_000, arrived), cut(50_000, arrived));
    assert.deepEqual(await readFile(await downloaded()), content);
    const [first, ...others] = hub.ranges();
    assert.equal(first, undefined);
    assert.equal(others.length, 2);
    for (const range of others) assert.match(range ?? '', /^bytes=[1-9]\d*-$/);
  });

  it('gives up when nothing new comes, keeps what there is, and goes on from there the next time', async () => {
    hub.next.push(cut(100_000, arrived), ...Array.from({ length: 9 }, () => status(503)));
    const { code, message } = await failed();
    assert.equal(code, 'DOWNLOAD_FAILED');
    assert.match(message, /503/);
    const kept = await partial();
    assert.ok(kept !== undefined && kept.length > 0);
    assert.deepEqual(kept, content.subarray(0, kept.length));
    assert.equal(waits.length, 3);

    hub.next.length = 0;
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.equal(hub.ranges().at(-1), `bytes=${kept.length}-`);
    assert.equal(await partial(), undefined);
  });

  it('keeps what has arrived when it is cancelled', async () => {
    hub.next.push(stall(150_000));
    const abort = new AbortController();
    const { code } = await failed({
      abort,
      onBytes: () => {
        abort.abort();
      },
    });
    assert.equal(code, 'ABORTED');
    const kept = await partial();
    assert.ok(kept !== undefined && kept.length > 0 && kept.length < content.length);
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.equal(hub.ranges().at(-1), `bytes=${kept.length}-`);
  });

  it('asks again where a server has gone silent', async () => {
    options = { ...options, idleMs: 100 };
    hub.next.push(stall(100_000));
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.ok(hub.ranges().length >= 2);
  });

  it('waits as long as a server asks it to', async () => {
    const later = new Date(Date.now() + 60_000).toUTCString();
    hub.next.push(status(429, { 'retry-after': '7' }), status(503, { 'retry-after': later }));
    assert.deepEqual(await readFile(await downloaded()), content);
    const [first = 0, second = 0] = waits;
    assert.equal(first, 7000);
    assert.ok(second > 0 && second <= 60_000);
  });

  it('does not wait for a server that wants to be left alone for long', async () => {
    hub.next.push(status(429, { 'retry-after': '86400' }));
    assert.match((await failed()).message, /429/);
    assert.deepEqual(waits, []);
  });

  it('waits longer each time where nobody says how long', async () => {
    hub.nextOfHub.push(status(500), status(502));
    await downloaded();
    const [first = 0, second = 0] = waits;
    assert.ok(first > 0 && second > 0 && first <= 500 && second <= 1000);
  });

  it('keeps nothing of what has another hash', async () => {
    hub.tampered = (good) => Buffer.from(good.map((byte) => byte ^ 1));
    const { code, message } = await failed();
    assert.equal(code, 'DOWNLOAD_FAILED');
    assert.match(message, /its hash is another one/);
    assert.equal((await partial())?.length ?? 0, 0);
    assert.deepEqual(await cachedModels(cache), []);
    hub.tampered = undefined;
    assert.deepEqual(await readFile(await downloaded()), content);
  });

  it('downloads nothing that is longer or shorter than published, or has changed since', async () => {
    hub.tampered = (good) => Buffer.concat([good, good]);
    assert.match((await failed()).message, /800000 bytes of it, not 400000/);
    hub.tampered = (good) => good.subarray(0, 1000);
    assert.match((await failed()).message, /1000 bytes of it, not 400000/);
    hub.tampered = undefined;
    const repository = await repositoryOf();
    const model = repository.models[0];
    assert.ok(model !== undefined);
    hub.nextOfHub.push(
      status(302, { location: hub.storage, 'x-linked-etag': `"${'0'.repeat(64)}"` }),
    );
    const outcome = await downloadModel(
      { hub: connect(), repository, model, cache, options },
      () => undefined,
      signal(),
    );
    assert.ok(!outcome.ok);
    assert.match(outcome.error.message, /it has changed on the server/);
  });

  it('starts anew where the server cannot go on', async () => {
    await leave(content.subarray(0, 1000));
    hub.next.push(status(416));
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.deepEqual(hub.ranges(), ['bytes=1000-', undefined]);
  });

  it('starts anew where the server knows no ranges, or what is there is too long', async () => {
    await leave(content.subarray(0, 1000));
    hub.next.push(withoutRanges);
    assert.deepEqual(await readFile(await downloaded()), content);
    cache = join(folderWith({}), 'hub');
    await leave(Buffer.concat([content, content]));
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.equal(hub.ranges().at(-1), undefined);
  });

  it('asks for nothing where all had arrived but its name', async () => {
    await leave(content);
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.deepEqual(hub.ranges(), []);
  });

  it('finds out that what an earlier try left is damaged', async () => {
    await leave(Buffer.alloc(1000, 7));
    assert.match((await failed()).message, /its hash is another one/);
    assert.deepEqual(await readFile(await downloaded()), content);
  });

  it('does not mix an older version with a newer one', async () => {
    hub.next.push(cut(100_000, arrived), ...Array.from({ length: 9 }, () => status(503)));
    await failed();
    hub.next.length = 0;
    const newer = contentOf(300_000, 5);
    hub.repositories.set(name, { files: { [file]: newer } });
    assert.deepEqual(await readFile(await downloaded()), newer);
    assert.equal(hub.ranges().at(-1), undefined);
    assert.ok(((await partial())?.length ?? 0) > 0);
  });

  it('is done once where it is asked for twice', async () => {
    let go = (): void => undefined;
    const second = new Promise<void>((resolve) => (go = resolve));
    hub.next.push((response, request, good) => {
      void second.then(() => {
        whole(response, request, good);
      });
    });
    const both = [downloaded(), downloaded()];
    const apiRequests = (): number => hub.seen.filter(({ url }) => url.startsWith('/api')).length;
    while (apiRequests() < 2 || hub.ranges().length < 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    go();
    const [one, other] = await Promise.all(both);
    assert.equal(one, other);
    assert.deepEqual(await readFile(one ?? ''), content);
    assert.equal(hub.ranges().length, 1);
  });

  it('goes on with what a window that died was at', async () => {
    const locks = join(cache, '.locks', 'models--some--Model-GGUF');
    await mkdir(locks, { recursive: true });
    // No process has this number.
    await writeFile(join(locks, `${sha256(content)}.sightline`), '4194305 0.5');
    await leave(content.subarray(0, 1000));
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.deepEqual(hub.ranges(), ['bytes=1000-']);
  });

  it('brings all parts of a split model', async () => {
    const parts = [1, 2, 3].map((part) => contentOf(50_000 + part, part));
    const files = Object.fromEntries(
      parts.map((part, i) => [`Q4_K_M/m-Q4_K_M-0000${i + 1}-of-00003.gguf`, part]),
    );
    hub.repositories.set(name, { files });
    const told: number[] = [];
    const path = await downloaded({ onBytes: (done) => told.push(done) });
    assert.match(path, /Q4_K_M.m-Q4_K_M-00001-of-00003\.gguf$/);
    for (const [i, part] of parts.entries()) {
      assert.deepEqual(await readFile(path.replace('00001', `0000${i + 1}`)), part);
    }
    assert.equal(told.at(-1), 150_006);
    assert.equal((await cachedModels(cache)).length, 3);
  });

  it('tells no other host the token', async () => {
    hub.repositories.set(name, { files: { [file]: content }, token: 'hf_secret' });
    assert.deepEqual(await readFile(await downloaded({ token: 'hf_secret' })), content);
    const asked = hub.seen.map(({ host, authorization }) => [host, authorization]);
    assert.deepEqual(asked, [
      ['hub', 'Bearer hf_secret'],
      ['hub', 'Bearer hf_secret'],
      ['storage', undefined],
    ]);
    for (const path of await readdir(cache, { recursive: true })) {
      if (!(await lstat(join(cache, path))).isFile()) continue;
      assert.ok(!(await readFile(join(cache, path))).includes('hf_secret'), path);
    }
  });

  it('says what to do where a token is missing or not enough', async () => {
    hub.repositories.set(name, { files: { [file]: content }, token: 'hf_secret' });
    for (const [token, code] of [
      [undefined, 401],
      ['hf_other', 403],
    ] as const) {
      const found = await lookUp(connect(token), name, signal());
      assert.ok(!found.ok);
      assert.equal(found.error.code, 'ACCESS_DENIED');
      assert.match(found.error.message, new RegExp(`${code}.*Set Hugging Face Token`));
      assert.ok(!found.error.message.includes('hf_'));
    }
    assert.deepEqual(waits, []);
  });

  it('says so where there is no such repository, or no such file any more', async () => {
    const found = await lookUp(connect('hf_any'), 'some/other', signal());
    assert.ok(!found.ok);
    assert.match(found.error.message, /404.*some\/other/);
    hub.next.push(status(404));
    assert.match((await failed()).message, /404/);
    assert.deepEqual(waits, []);
  });

  it('goes to no address that is not safe', async () => {
    for (const location of [
      'http://example.com/model',
      'file:///etc/passwd',
      'ftp://127.0.0.1/',
      'http://user:word@127.0.0.1/',
    ]) {
      hub.next.push(status(302, { location }));
      assert.match((await failed()).message, /redirects to an address that is not https/, location);
    }
    hub.next.push(...Array.from({ length: 9 }, () => status(302, { location: '/again' })));
    assert.match((await failed()).message, /redirects in circles/);
    for (const endpoint of ['http://example.com', 'ftp://example.com', 'nonsense']) {
      const found = hubOf(undefined, { HF_ENDPOINT: endpoint });
      assert.ok(!found.ok);
      assert.match(found.error.message, /HF_ENDPOINT is .*, which is no https address/);
    }
    assert.deepEqual(waits, []);
  });

  it('asks nobody when it is to be offline', () => {
    for (const offline of ['1', 'true', 'ON', 'yes']) {
      const found = hubOf(undefined, { HF_HUB_OFFLINE: offline, HF_ENDPOINT: hub.endpoint });
      assert.ok(!found.ok);
      assert.equal(found.error.code, 'OFFLINE');
    }
    assert.ok(hubOf(undefined, { HF_HUB_OFFLINE: '0' }).ok);
    assert.deepEqual(hub.seen, []);
  });

  it('knows no names that lead out of the folder, and no part of a model', async () => {
    const hostile = [
      ...['../up.gguf', '/etc/root.gguf', 'a/../../b.gguf', 'C:\\x.gguf', 'c:x.gguf', './x.gguf'],
      ...['a//b.gguf', 'x-00001-of-00002.gguf', 'mmproj-x.gguf', 'readme.md', 'x.imatrix.gguf'],
      ...['y-00001-of-00002.gguf', 'y-00003-of-00002.gguf'],
    ];
    hub.repositories.set(name, {
      files: Object.fromEntries([...hostile, 'folder/good.gguf'].map((one) => [one, content])),
    });
    const { models } = await repositoryOf();
    assert.deepEqual(
      models.map((model) => model.file),
      ['folder/good.gguf'],
    );
    for (const other of ['../x/y', 'one', 'a/b/c', 'a/..', '/a/b', 'a/b?x', 'a b/c']) {
      const found = await lookUp(connect(), other, signal());
      assert.ok(!found.ok && found.error.code === 'BAD_ARGUMENT', other);
    }
  });

  it('says so where what answers is no hub', async () => {
    for (const answer of ['<html>', '{}', '{"sha":"x","siblings":[]}']) {
      hub.nextOfHub.push((response) => {
        response.writeHead(200).end(answer);
      });
      const found = await lookUp(connect(), name, signal());
      assert.ok(!found.ok);
      assert.match(found.error.message, /did not answer as a Hugging Face hub does/);
    }
    hub.stop();
    await hub.start();
    const gone = hubOf(undefined, { HF_ENDPOINT: 'http://127.0.0.1:1' }, options);
    assert.ok(gone.ok);
    const found = await lookUp(gone.value, name, signal());
    assert.ok(!found.ok);
    assert.match(found.error.message, /127\.0\.0\.1:1 cannot be reached/);
  });

  it('begins only where the disk has room, and says what happened where it ends meanwhile', async () => {
    options = { ...options, freeBytes: () => Promise.resolve(399_999) };
    assert.match((await failed()).message, /needs 0\.0 GB more.*are free\. Make room there/);
    assert.deepEqual(hub.ranges(), []);

    options = {
      ...downloadOptions,
      openFile: async (...args) => {
        const opened = await open(...args);
        const append = opened.appendFile.bind(opened);
        let room = 100_000;
        opened.appendFile = async (data, ...rest) => {
          room -= data.length;
          if (room < 0) throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
          await append(data, ...rest);
        };
        return opened;
      },
    };
    const { code, message } = await failed();
    assert.equal(code, 'WRITE_FAILED');
    assert.match(message, /ENOSPC.*Make room there.*what has arrived is kept/);
    const kept = await partial();
    assert.ok(kept !== undefined && kept.length > 0);
    options = downloadOptions;
    assert.deepEqual(await readFile(await downloaded()), content);
    assert.equal(hub.ranges().at(-1), `bytes=${kept.length}-`);
  });

  it('says so where the folder cannot be written', async () => {
    cache = join(folderWith({ taken: '' }), 'taken', 'hub');
    const { code, message } = await failed();
    assert.equal(code, 'WRITE_FAILED');
    assert.match(message, /cannot be written to .*taken/);
  });
});

describe('the folder of the hub’s cache', () => {
  it('is where Hugging Face’s tools have it', () => {
    const of = (env: NodeJS.ProcessEnv): string => hubCacheFolder(env, '/home/me');
    assert.equal(of({}), join('/home/me', '.cache', 'huggingface', 'hub'));
    assert.equal(of({ XDG_CACHE_HOME: '/cache' }), join('/cache', 'huggingface', 'hub'));
    assert.equal(of({ HF_HOME: '~/hf', XDG_CACHE_HOME: '/cache' }), join('/home/me', 'hf', 'hub'));
    assert.equal(of({ HF_HUB_CACHE: '/models', HF_HOME: '/hf' }), '/models');
  });
});
