import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, readFile, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { catalogue } from '../../../sidecar/models/catalogue.ts';
import { fitOf } from '../../../sidecar/models/fit.ts';
import { readHeader, readLocalHeader } from '../../../sidecar/models/header.ts';
import { cacheBytes } from '../../../sidecar/models/memory.ts';
import { Models } from '../../../sidecar/models/models.ts';
import type { SightlineSettings } from '../../../sidecar/protocol.ts';
import { downloadOptions } from '../../../sidecar/download/file.ts';
import { parseSettings } from '../../../sidecar/settings.ts';
import { encode, ggufPieces, readGguf, type Metadata } from '../../fixtures/models/gguf.ts';
import { hostileFiles } from '../../fixtures/models/hostile.ts';
import { fakeHub, status, withoutRanges } from '../support/fakeHub.ts';
import { folderWith } from '../support/folder.ts';

const bundled = join(import.meta.dirname, '../../../media/models/sightline-tiny-code-q8_0.gguf');
const valid = readFileSync(bundled);
const signal = (): AbortSignal => new AbortController().signal;

const settingsOf = (given: unknown = {}): SightlineSettings => parseSettings(given).settings;

const inMemory = (bytes: Uint8Array) => ({
  bytes: bytes.length,
  read: (from: number, to: number) => Promise.resolve(bytes.subarray(from, to + 1)),
});

/** The bundled model with other metadata; an absent value takes a key out. */
function changed(changes: Readonly<Record<string, Uint8Array | undefined>>): Buffer {
  const { metadata, tensors } = readGguf(valid);
  const next: Metadata = new Map(
    Object.entries({ ...Object.fromEntries(metadata), ...changes }).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value] as const],
    ),
  );
  return Buffer.concat([...ggufPieces({ metadata: next, tensors })]);
}

describe('the header of a GGUF file', () => {
  it('says what a model is', async () => {
    const header = await readLocalHeader(bundled, signal());
    assert.ok(header.ok);
    assert.deepEqual(header.value, {
      architecture: 'qwen2',
      name: 'sightline-tiny-code',
      layers: Array.from({ length: 4 }, () => ({ kvHeads: 2, keySize: 64, valueSize: 64 })),
      slides: false,
      trainedTokens: 8192,
      stepBytes: 512 * 4 * (4096 + 2 * 640 + 4 * 256),
      canChat: true,
      canFillInTheMiddle: true,
      parts: 1,
    });
  });

  const read = (bytes: Uint8Array) => readHeader('it', inMemory(bytes), signal());

  it('gives layers their own heads, and sizes their own for keys and values', async () => {
    const header = await read(
      changed({
        'qwen2.attention.head_count_kv': encode.integers([2, 0, 1, 2]),
        'qwen2.attention.key_length': encode.uint32(192),
        'qwen2.attention.value_length': encode.uint32(128),
        'qwen2.attention.sliding_window': encode.uint32(1024),
        'tokenizer.ggml.fim_pre_token_id': undefined,
        'tokenizer.chat_template': undefined,
        'general.name': undefined,
      }),
    );
    assert.ok(header.ok, JSON.stringify(header));
    assert.deepEqual(
      header.value.layers.map(({ kvHeads }) => kvHeads),
      [2, 0, 1, 2],
    );
    assert.deepEqual(header.value.layers[0], { kvHeads: 2, keySize: 192, valueSize: 128 });
    const { slides, canChat, canFillInTheMiddle, name } = header.value;
    // The markers are among its tokens.
    assert.deepEqual(
      { slides, canChat, canFillInTheMiddle, name },
      { slides: true, canChat: false, canFillInTheMiddle: true, name: 'qwen2' },
    );
  });

  it('is not believed where it cannot be true', async () => {
    for (const [key, value] of [
      ['qwen2.block_count', encode.uint32(4_000_000_000)],
      ['qwen2.block_count', encode.string('many')],
      ['qwen2.block_count', undefined],
      ['qwen2.attention.head_count_kv', encode.uint32(0xffffffff)],
      ['qwen2.attention.head_count_kv', encode.integers([2])],
      ['qwen2.attention.key_length', encode.float32(Number.NaN)],
      ['qwen2.embedding_length', encode.float32(-5)],
      ['general.architecture', undefined],
    ] as const) {
      const header = await read(changed({ [key]: value }));
      assert.ok(!header.ok, key);
      assert.equal(header.error.code, 'MODEL_INVALID');
      assert.match(header.error.message, /^it is no whole GGUF model: it.*Download it again/);
    }
  });

  it('may be damaged or hostile in every way', async () => {
    let refused = 0;
    for (const { name, bytes } of hostileFiles(valid)) {
      const header = await read(bytes);
      if (header.ok) continue;
      assert.equal(header.error.code, 'MODEL_INVALID', name);
      refused++;
    }
    assert.ok(refused > 40, String(refused));
  });

  it('is read as far as it goes, and no further', async () => {
    const ranges: [number, number][] = [];
    const large = { ...inMemory(valid), bytes: 5e9 };
    const header = await readHeader(
      'it',
      {
        ...large,
        read: (from, to) => {
          ranges.push([from, to]);
          return large.read(from, to);
        },
      },
      signal(),
    );
    assert.ok(header.ok);
    assert.ok(ranges.length >= 1 && ranges.length <= 3, JSON.stringify(ranges));
  });
});

describe('what a cache takes', () => {
  const model = {
    layers: Array.from({ length: 28 }, () => ({ kvHeads: 4, keySize: 128, valueSize: 128 })),
    slides: false,
  };
  const bitsOf = (cache: unknown, tokens = 1 << 20): number =>
    (cacheBytes(model, tokens, settingsOf({ cache }).cache) * 8) / (tokens * 28 * 4 * 256);

  it('is as many bits an element as the tier has', () => {
    const near = (actual: number, expected: number): void => {
      assert.ok(Math.abs(actual - expected) < 0.02, `${actual}, not ${expected}`);
    };
    near(bitsOf({ policy: 'full' }), 16);
    near(bitsOf({ tier: 'int8' }), 8.19);
    near(bitsOf({ tier: 'fp8' }), 8.03);
    near(bitsOf({ tier: 'k8v4' }), 6.31);
    near(bitsOf({ tier: 'int4' }), 4.38);
    near(bitsOf({ tier: 'k4v2' }), 3.51);
    near(bitsOf({ policy: 'auto' }), 4.38);
    near(bitsOf({ policy: 'compressed' }), 0);
    near(bitsOf({ policy: 'hierarchical' }), 4.4);
  });

  it('is FP16 where the layers are llama.cpp’s own', () => {
    const { cache } = settingsOf();
    const fp16 = 28 * 4 * 256 * 2 * 1000;
    assert.equal(cacheBytes({ ...model, slides: true }, 1000, cache), fp16);
    const uneven = model.layers.map((layer) => ({ ...layer, valueSize: 64 }));
    assert.equal(cacheBytes({ layers: uneven, slides: false }, 1000, cache), fp16 * 0.75);
    const none = model.layers.map((layer) => ({ ...layer, kvHeads: 0 }));
    assert.equal(cacheBytes({ layers: none, slides: false }, 1000, cache), 0);
  });
});

describe('whether a model fits', () => {
  const GiB = 2 ** 30;
  const model = {
    layers: Array.from({ length: 28 }, () => ({ kvHeads: 4, keySize: 128, valueSize: 128 })),
    slides: false,
    trainedTokens: 32_768,
    stepBytes: 0.4 * GiB,
  };
  const weights = 4.7 * GiB;
  const gpu = (size: number, ready = true) => ({ name: 'A GPU', bytes: size * GiB, ready });
  const fit = (memory: { ram: number; gpu?: ReturnType<typeof gpu> }, settings: unknown = {}) => {
    const { ram, ...rest } = memory;
    return fitOf(model, weights, { bytes: ram * GiB, ...rest }, settingsOf(settings));
  };

  it('is on the GPU, on both, on the CPU, or nowhere', () => {
    assert.equal(fit({ ram: 32, gpu: gpu(24) }).where, 'gpu');
    assert.equal(fit({ ram: 32, gpu: gpu(4) }).where, 'split');
    assert.equal(fit({ ram: 32, gpu: gpu(0.5) }).where, 'cpu');
    assert.equal(fit({ ram: 16 }).where, 'cpu');
    assert.equal(fit({ ram: 5 }).where, 'nowhere');
    assert.equal(fit({ ram: 5, gpu: gpu(24) }).where, 'gpu');
  });

  it('says why, and what to do', () => {
    const on = fit({ ram: 32, gpu: gpu(24, false) });
    assert.match(
      on.message,
      /^4\.7 GiB of weights and 0\.9 GiB of cache for 32768 tokens, on A GPU/,
    );
    assert.match(on.message, /once "Sightline: Install GPU Runtime" was run$/);
    assert.match(fit({ ram: 32, gpu: gpu(4) }).message, /\d+ % of it on A GPU$/);
    assert.match(fit({ ram: 4 }).message, /has 4\.0 GiB\. Choose a smaller model/);
    assert.match(
      fit({ ram: 6.5 }, { cache: { policy: 'full' } }).message,
      /Lower sightline\.model/,
    );
    const tight = fit({ ram: 32 }, { cache: { budgetMiB: 100 } });
    assert.equal(tight.where, 'nowhere');
    assert.match(tight.message, /more than the 100 MiB .* Raise sightline\.cache\.budgetMiB/);
  });

  it('depends on the context and the policy, by the settings', () => {
    const bytes = (settings: unknown): number => fit({ ram: 64 }, settings).cacheBytes;
    const full = bytes({ cache: { policy: 'full' } });
    assert.equal(full, 32_768 * 28 * 4 * 256 * 2);
    assert.ok(bytes({}) < 0.55 * full);
    assert.ok(bytes({ cache: { tier: 'int4' } }) < 0.35 * full);
    const shorter = fit({ ram: 64 }, { model: { contextTokens: 8192 } });
    assert.equal(shorter.contextTokens, 8192);
    assert.equal(fit({ ram: 64 }, { model: { contextTokens: 1e6 } }).contextTokens, 32_768);
    const layers = fit({ ram: 64, gpu: gpu(24) }, { gpu: { layers: 14 } });
    assert.match(layers.message, /50 % of it/);
    assert.equal(fit({ ram: 5, gpu: gpu(1) }, { gpu: { use: 'required' } }).where, 'nowhere');
  });
});

describe('the catalogue', () => {
  it('names repositories, licences, and what these do not allow', () => {
    assert.ok(catalogue.length >= 12);
    assert.equal(new Set(catalogue.map(({ name }) => name)).size, catalogue.length);
    for (const entry of catalogue) {
      assert.match(entry.repository, /^[\w.-]+\/[\w.-]+$/);
      assert.ok(entry.uses.length > 0 && entry.parameters > 1e8 && entry.trainedTokens >= 4096);
      const isFree = ['Apache-2.0', 'MIT'].includes(entry.licence);
      assert.equal(entry.restriction === undefined, isFree, entry.name);
    }
    const of = (name: string) => catalogue.find((entry) => entry.name.startsWith(name));
    assert.match(of('Codestral')?.restriction ?? '', /no production use/);
    assert.match(of('Qwen2.5-Coder 3B')?.restriction ?? '', /no commercial use/);
  });

  it('has the shapes of caches that are known', () => {
    const kibibytes = (name: string): number | undefined => {
      const entry = catalogue.find((one) => one.name === name);
      if (entry === undefined) return undefined;
      const layers = Array.from({ length: entry.layers }, () => entry.shape);
      const { cache } = settingsOf({ cache: { policy: 'full' } });
      return cacheBytes({ layers, slides: false }, 1 << 15, cache) / 2 ** 25;
    };
    assert.equal(kibibytes('Qwen2.5-Coder 0.5B'), 12);
    assert.equal(kibibytes('Qwen2.5-Coder 1.5B'), 28);
    assert.equal(kibibytes('Qwen2.5-Coder 7B'), 56);
    assert.equal(kibibytes('Qwen3-Coder 30B-A3B Instruct'), 96);
    assert.equal(kibibytes('StarCoder2 7B'), 64);
    assert.equal(kibibytes('Codestral 22B'), 224);
    assert.equal(kibibytes('Mellum 4B'), 360);
  });
});

describe('models', () => {
  const hub = fakeHub();
  const repository = 'some/Model-GGUF';
  let home = '';
  let models: Models;
  const make = (env: NodeJS.ProcessEnv = {}): Models =>
    new Models({
      bundledModel: bundled,
      settings: () => settingsOf(),
      memory: () => Promise.resolve({ bytes: 16 * 2 ** 30 }),
      env: { HF_ENDPOINT: hub.endpoint, HF_HOME: home, ...env },
      download: { ...downloadOptions, retries: 1, wait: () => Promise.resolve() },
    });

  beforeEach(() => {
    hub.reset();
    home = folderWith({});
    models = make();
    hub.repositories.set(repository, {
      files: {
        'model-Q8_0.gguf': valid,
        'Model-q4_k_m.gguf': valid.subarray(0, 4_000_000),
        'model-bf16-00001-of-00002.gguf': valid,
        'model-bf16-00002-of-00002.gguf': valid,
      },
      licence: 'apache-2.0',
    });
  });

  it('are listed without any use of the network', async () => {
    const own = folderWith({
      'mine.gguf': valid,
      'broken.gguf': 'GGUF but no more',
      'mmproj-mine.gguf': valid,
      'split-00001-of-00002.gguf': valid,
    });
    const paths = ['mine.gguf', 'broken.gguf', 'mmproj-mine.gguf', 'split-00001-of-00002.gguf'];
    const list = await models.list(
      [...paths, 'gone.gguf', 'mine.gguf'].map((name) => join(own, name)),
      signal(),
    );
    assert.deepEqual(
      list.local.map(({ path, source }) => [path, source]),
      [
        [bundled, 'bundled'],
        [join(own, 'mine.gguf'), 'file'],
        [join(own, 'broken.gguf'), 'file'],
        [join(own, 'split-00001-of-00002.gguf'), 'file'],
        [join(own, 'gone.gguf'), 'file'],
      ],
    );
    const [first, mine, broken, split, gone] = list.local;
    assert.equal(first?.details?.fit.where, 'cpu');
    assert.equal(first.bytes, valid.length);
    assert.ok(first.details.canChat && first.details.canFillInTheMiddle);
    assert.equal(mine?.problem, undefined);
    assert.match(broken?.problem ?? '', /no whole GGUF model/);
    assert.match(split?.problem ?? '', /Parts of .* are missing/);
    assert.match(gone?.problem ?? '', /cannot be read/);
    assert.equal(list.folder, join(home, 'hub'));
    assert.equal(list.catalogue.length, catalogue.length);
    for (const { fit, bytes } of list.catalogue) assert.equal(fit.weightBytes, bytes);
    const where = (name: string) => list.catalogue.find((one) => one.name === name)?.fit.where;
    assert.equal(where('Qwen2.5-Coder 7B Instruct'), 'cpu');
    assert.equal(where('Qwen2.5-Coder 32B Instruct'), 'nowhere');
    assert.deepEqual(hub.seen, []);
  });

  it('are looked at before they are downloaded', async () => {
    const found = await models.inspect(repository, undefined, signal());
    assert.ok(found.ok, JSON.stringify(found));
    const { files, licence, trainedTokens, canChat, gated } = found.value;
    assert.deepEqual(
      files.map(({ file, quantisation, parts, bytes }) => [file, quantisation, parts, bytes]),
      [
        ['Model-q4_k_m.gguf', 'Q4_K_M', 1, 4_000_000],
        ['model-Q8_0.gguf', 'Q8_0', 1, valid.length],
        ['model-bf16-00001-of-00002.gguf', 'BF16', 2, 2 * valid.length],
      ],
    );
    assert.deepEqual(
      { licence, trainedTokens, canChat, gated },
      {
        licence: 'apache-2.0',
        trainedTokens: 8192,
        canChat: true,
        gated: false,
      },
    );
    for (const { bytes, missingBytes, path, fit } of files) {
      assert.equal(missingBytes, bytes);
      assert.equal(path, undefined);
      assert.equal(fit.weightBytes, bytes);
      assert.equal(fit.cacheBytes, files[0]?.fit.cacheBytes);
    }
    // The first two megabytes hold the header.
    assert.deepEqual(hub.ranges(), ['bytes=0-1999999']);
    await models.inspect(repository, undefined, signal());
    assert.equal(hub.ranges().length, 1);
  });

  it('are downloaded, and listed then', async () => {
    const told: number[] = [];
    const done = await models.download(
      repository,
      'model-Q8_0.gguf',
      undefined,
      (bytes) => told.push(bytes),
      signal(),
    );
    assert.ok(done.ok, JSON.stringify(done));
    assert.deepEqual(await readFile(done.value.path), valid);
    assert.equal(told.at(-1), valid.length);
    const { local } = await make({ HF_HUB_OFFLINE: '1' }).list([done.value.path], signal());
    assert.deepEqual(
      local.map(({ path, source, repository: from }) => [path, source, from]),
      [
        [bundled, 'bundled', undefined],
        [done.value.path, 'cache', repository],
      ],
    );
    const found = await models.inspect(repository, undefined, signal());
    assert.ok(found.ok);
    const here = found.value.files.find(({ file }) => file === 'model-Q8_0.gguf');
    assert.equal(here?.missingBytes, 0);
    assert.equal(here.path, done.value.path);
  });

  it('that were published but are none are refused', async () => {
    hub.repositories.set(repository, { files: { 'a.gguf': Buffer.alloc(100_000, 'GGUF') } });
    const found = await models.inspect(repository, undefined, signal());
    assert.ok(!found.ok);
    assert.match(found.error.message, /^a\.gguf is no whole GGUF model/);
    hub.repositories.set(repository, { files: { 'a.bin': valid } });
    const none = await models.inspect(repository, undefined, signal());
    assert.ok(!none.ok);
    assert.match(none.error.message, /has no GGUF model that is whole/);
    const other = await models.download(repository, 'b.gguf', undefined, () => undefined, signal());
    assert.ok(!other.ok);
  });

  it('are read in part only, whatever a server sends', async () => {
    hub.next.push(withoutRanges, withoutRanges);
    const found = await models.inspect(repository, undefined, signal());
    assert.ok(!found.ok);
    assert.match(found.error.message, /longer than it may be/);
    hub.next.push(status(500), status(500), status(500));
    const failing = await models.inspect(repository, undefined, signal());
    assert.ok(!failing.ok);
    assert.equal(failing.error.code, 'DOWNLOAD_FAILED');
    const stopped = await models.inspect(repository, undefined, AbortSignal.abort());
    assert.ok(!stopped.ok);
    assert.equal(stopped.error.code, 'ABORTED');
  });

  it('of a cache that others have left in disorder are listed as far as they are whole', async () => {
    const snapshot = join(home, 'hub', 'models--a--b', 'snapshots', 'f'.repeat(40));
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(home, 'hub', 'datasets--a--b', 'snapshots', 'x'), { recursive: true });
    await mkdir(join(home, 'hub', 'models--lonely'), { recursive: true });
    await symlink('../../blobs/gone', join(snapshot, 'dangling.gguf'));
    await symlink(snapshot, join(snapshot, 'circle'));
    await symlink(bundled, join(snapshot, 'good.gguf'));
    const { local } = await models.list([], signal());
    assert.deepEqual(
      local.map(({ path }) => path),
      [bundled, join(snapshot, 'good.gguf')],
    );
    await rm(dirname(snapshot), { recursive: true });
    assert.equal((await models.list([], signal())).local.length, 1);
  });

  it('are asked for from nobody when it is to be offline', async () => {
    const offline = make({ HF_HUB_OFFLINE: '1' });
    const inspected = await offline.inspect(repository, undefined, signal());
    assert.ok(!inspected.ok && inspected.error.code === 'OFFLINE');
    const done = await offline.download(repository, 'x.gguf', undefined, () => undefined, signal());
    assert.ok(!done.ok && done.error.code === 'OFFLINE');
    assert.deepEqual(hub.seen, []);
  });
});
