import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { formatFit, type FitReport } from '../../../sidecar/cli/fitReport.ts';
import { parseSize } from '../../../sidecar/cli/size.ts';
import { downloadOptions } from '../../../sidecar/download/file.ts';
import { parseReport } from '../../../sidecar/evaluation/report/report.ts';
import { cachesOf, drops, keeperOf, ladderOf } from '../../../sidecar/fit/caches.ts';
import {
  measuredQualities,
  measuredSpeed,
  qualityOf,
  qualitySource,
} from '../../../sidecar/fit/quality.ts';
import { recommend, type Recommendation } from '../../../sidecar/fit/recommend.ts';
import { cacheFit, sumOf, type CacheFit, type Place } from '../../../sidecar/fit/room.ts';
import { hubSource, localSource, parseAddress } from '../../../sidecar/fit/source.ts';
import { memoryWithRoom, roomIn, type Sized } from '../../../sidecar/models/fit.ts';
import type { LayerShape } from '../../../sidecar/models/header.ts';
import { hubOf } from '../../../sidecar/models/hub.ts';
import { parseSettings } from '../../../sidecar/settings.ts';
import { encode, ggufPieces, readGguf } from '../../fixtures/models/gguf.ts';
import { fakeHub } from '../support/fakeHub.ts';
import { folderWith } from '../support/folder.ts';

const root = join(import.meta.dirname, '../../..');
const bundled = join(root, 'media/models/sightline-tiny-code-q8_0.gguf');
const valid = readFileSync(bundled);
const signal = (): AbortSignal => new AbortController().signal;
const GiB = 2 ** 30;

const cacheOf = (cache: unknown = {}) => parseSettings({ cache }).settings.cache;

const alike = (layers: number, kvHeads: number, keySize = 128, valueSize = keySize) =>
  Array.from({ length: layers }, (): LayerShape => ({ kvHeads, keySize, valueSize }));

const sized = (layers: LayerShape[], more: Partial<Sized> = {}): Sized => ({
  layers,
  slides: false,
  trainedTokens: 131_072,
  stepBytes: 0.4 * GiB,
  ...more,
});

/** As Qwen2.5-Coder 7B: 56 KiB of FP16 cache for a token. */
const grouped = sized(alike(28, 4));
const weightBytes = 4.4 * GiB;

describe('parseSize', () => {
  it('takes sizes in powers of 1024, whatever they are called', () => {
    for (const [text, size] of [
      ['12GB', 12 * GiB],
      ['12GiB', 12 * GiB],
      ['12 gb', 12 * GiB],
      ['12G', 12 * GiB],
      ['1.5T', 1.5 * 1024 * GiB],
      ['900MiB', 900 * 2 ** 20],
      ['64k', 65_536],
    ] as const) {
      assert.equal(parseSize(text), size, text);
    }
  });

  it('takes nothing else', () => {
    for (const text of [
      ...['', '12', 'GB', '0GB', '-1GB', '1e3GB', '12GBit', '12 G B', '1,5GB', '.5GB', '12PB'],
      ...['99999999999999TB', '0.0001K', 'NaNGB', '12GB of it'],
    ]) {
      assert.equal(parseSize(text), undefined, text);
    }
  });
});

interface Row {
  readonly case: string;
  readonly value: number;
  readonly ratio?: number;
}
interface Results {
  readonly model: string;
  readonly rows: readonly Row[];
}
const resultsIn = (file: string): Results =>
  JSON.parse(readFileSync(join(root, file), 'utf8')) as Results;

describe('what was measured', () => {
  it('is what the committed results say, to the digits that are shown', () => {
    const report = parseReport(readFileSync(join(root, qualitySource.file), 'utf8'));
    assert.equal(qualitySource.model, report.model.file);
    const names = new Set<string>();
    for (const { policy, tier, contextTokens, ...quality } of measuredQualities) {
      const name = tier === undefined ? policy : `${policy}:${tier}`;
      names.add(name);
      const row = report.rows.find((one) => one.cache === name && one.context === contextTokens);
      assert.ok(row?.predictions, name);
      const { sameTop, change, mean } = row.predictions;
      assert.equal(quality.sameTop.toFixed(1), sameTop.value.toFixed(1), name);
      assert.equal(quality.perplexityChange.toFixed(3), change.value.toFixed(3), name);
      assert.equal(quality.divergence.toExponential(1), mean.value.toExponential(1), name);
    }
    // But FP16 and caches with a window of their own.
    const others = report.rows.filter(({ cache }) => !names.has(cache));
    assert.deepEqual(
      [...new Set(others.map(({ cache }) => cache))].filter((name) => !/:\d+$/.test(name)),
      ['full'],
    );
    const { file, depth, ratio } = measuredSpeed;
    const name = `decode/int8/depth=${depth}/baseline=full`;
    const speed = resultsIn(file).rows.find((one) => one.case === name);
    assert.equal(speed?.ratio?.toFixed(2), ratio.toFixed(2));
  });

  it('is said of the caches that were measured, and of no others', () => {
    const int4 = cacheOf({ tier: 'int4' });
    assert.equal(qualityOf(int4, 4095), undefined);
    assert.equal(qualityOf(int4, 8191)?.contextTokens, 4096);
    assert.equal(qualityOf(int4, 1e6)?.contextTokens, 8192);
    assert.deepEqual(
      qualityOf(cacheOf({ tier: 'int4', span: 1024, keep: 0.25 }), 8192),
      qualityOf(int4, 8192),
    );
    assert.ok(qualityOf(cacheOf({ policy: 'h2o' }), 8192));
    assert.ok(qualityOf(cacheOf({ policy: 'compressed', tier: 'int4' }), 8192));
    for (const cache of [
      { tier: 'fp8' },
      { policy: 'hierarchical', span: 1024 },
      { policy: 'h2o', tier: 'int4' },
      { policy: 'h2o', keep: 0.25 },
      { tier: 'int4', window: 64 },
      { tier: 'int4', sink: 0 },
    ]) {
      assert.equal(qualityOf(cacheOf(cache), 8192), undefined, JSON.stringify(cache));
    }
  });
});

describe('the room that memory leaves', () => {
  it('is all but a reserve, and tells how much memory there must be', () => {
    assert.equal(roomIn(16 * GiB, 'cpu'), 14 * GiB);
    assert.equal(roomIn(256 * GiB, 'cpu'), 252 * GiB);
    assert.equal(roomIn(GiB, 'cpu'), 0.75 * GiB);
    assert.equal(roomIn(24 * GiB, 'gpu'), 23.75 * GiB);
    assert.equal(roomIn(2 ** 20, 'cpu'), 0);
    for (const device of ['cpu', 'gpu'] as const) {
      for (const memory of [0.3, 1, 2, 3, 8, 16, 31, 32, 33, 500]) {
        const needed = memoryWithRoom(roomIn(memory * GiB, device), device);
        assert.ok(Math.abs(needed - memory * GiB) < 1, `${memory} ${device}`);
      }
    }
  });
});

describe('how a cache fits', () => {
  const fit = (cache: unknown, gibibytes: number, contextTokens = 32_768): CacheFit =>
    cacheFit(grouped, weightBytes, contextTokens, cacheOf(cache), {
      device: 'cpu',
      bytes: gibibytes * GiB,
    });

  it('is decided to the byte', () => {
    const { memoryBytes } = fit({ tier: 'int8' }, 16);
    const at = (bytes: number): CacheFit => fit({ tier: 'int8' }, bytes / GiB);
    assert.equal(at(memoryBytes).fits, true);
    assert.equal(at(memoryBytes - 2).fits, false);
  });

  it('has a longest context, which fits as no longer one does', () => {
    for (const cache of cachesOf(cacheOf()).filter(({ policy }) => policy !== 'compressed')) {
      const { longestTokens, name } = fit(cache, 7);
      assert.ok(longestTokens > 8192 && longestTokens < 131_072, `${name}: ${longestTokens}`);
      assert.ok(fit(cache, 7, longestTokens).fits, name);
      assert.ok(!fit(cache, 7, longestTokens + 128).fits, name);
    }
    assert.equal(fit({ policy: 'compressed' }, 7).longestTokens, 131_072);
    assert.equal(fit({ policy: 'compressed' }, 7, 200_000).longestTokens, 200_000);
    assert.equal(fit({}, 4).longestTokens, 0);
  });

  it('heeds a bound of the cache, which auto gives itself', () => {
    const bounded = fit({ tier: 'int8', budgetMiB: 512 }, 64);
    assert.equal(bounded.fits, false);
    assert.equal(fit({ tier: 'int8', budgetMiB: 512 }, 64, bounded.longestTokens).fits, true);
    const auto = fit({ policy: 'auto' }, 8, 131_072);
    assert.equal(auto.bound, 'least');
    assert.equal(auto.fits, false);
    assert.equal(fit({ tier: 'int4' }, 8, 131_072).fits, true);
    assert.equal(fit({ policy: 'auto' }, auto.memoryBytes / GiB, 131_072).fits, true);
  });

  it('keeps half of what is behind the window with h2o at a half', () => {
    const bits = ({ cacheBytes }: CacheFit): number => (cacheBytes * 8) / (131_072 * 28 * 4 * 256);
    const int8 = bits(fit({ tier: 'int8' }, 64, 131_072));
    const half = bits(fit({ policy: 'h2o', keep: 0.5 }, 64, 131_072));
    // 4.1 bits of codes, and the number of each token that is kept.
    assert.ok(half > int8 / 2 && half < int8 / 2 + 0.3, `${half} of ${int8}`);
    assert.equal(
      bits(fit({ policy: 'importance', keep: 1 }, 64, 131_072)).toFixed(2),
      int8.toFixed(2),
    );
  });

  it('counts on no bits where llama.cpp keeps the cache', () => {
    const windows = { ...grouped, slides: true };
    const uneven = sized(alike(28, 4, 192, 128));
    const none = sized(alike(28, 0));
    const hybrid = sized([...alike(14, 4), ...alike(14, 0)]);
    assert.deepEqual([windows, uneven, none, hybrid, grouped].map(keeperOf), [
      'windows',
      'uneven',
      'none',
      'sightline',
      'sightline',
    ]);
    const place: Place = { device: 'cpu', bytes: 64 * GiB };
    const of = (model: Sized, cache: unknown): CacheFit =>
      cacheFit(model, weightBytes, 8192, cacheOf(cache), place);
    assert.equal(of(windows, { tier: 'int4' }).bound, 'most');
    for (const model of [windows, uneven]) {
      const { cacheBytes, ratio, quality } = of(model, { tier: 'int4' });
      assert.equal(cacheBytes, of(model, { policy: 'full' }).cacheBytes);
      assert.deepEqual([ratio, quality], [1, undefined]);
    }
    assert.deepEqual([of(none, {}).cacheBytes, of(none, {}).ratio], [0, 1]);
    assert.equal(of(hybrid, {}).cacheBytes, of(grouped, {}).cacheBytes / 2);
  });
});

describe('which cache to take', () => {
  interface Case {
    readonly model?: Sized;
    readonly weights?: number;
    readonly memory: number;
    readonly context: number;
    readonly device?: Place['device'];
    readonly cache?: unknown;
  }
  function choose({ model = grouped, weights = 4.4, ...given }: Case): Recommendation {
    const base = cacheOf(given.cache);
    const place: Place = { device: given.device ?? 'cpu', bytes: given.memory * GiB };
    const fit = (cache: ReturnType<typeof cacheOf>): CacheFit =>
      cacheFit(model, weights * GiB, given.context, cache, place);
    return recommend({
      contextTokens: given.context,
      place,
      budgetMiB: base.budgetMiB,
      keeper: keeperOf(model),
      ladder: ladderOf(base).map(fit),
      dropping: cachesOf(base).filter(drops).map(fit),
    });
  }

  const [full, int8, k8v4, int4] = [
    'full',
    'selective int8',
    'selective k8v4',
    'selective int4',
  ] as const;
  const pruned = 'selective int8 with pruning';

  const windows: Sized = { ...grouped, slides: true };
  const many = sized(alike(32, 32));
  const single = sized(alike(32, 1));
  const recurrent = sized(alike(32, 0));

  it('goes by memory, and says what the length alone would', () => {
    const cases: readonly (readonly [Case, string | undefined, string, boolean])[] = [
      // The borders of the rule by length: below 8 192, up to 32 768.
      [{ memory: 16, context: 8191 }, full, full, true],
      [{ memory: 16, context: 8192 }, full, int8, false],
      [{ memory: 16, context: 32_768 }, full, int8, false],
      [{ memory: 16, context: 32_769 }, full, pruned, false],
      // The less memory, the fewer bits. 32 768 tokens take 1.75 GiB in FP16.
      [{ memory: 8, context: 32_768 }, full, int8, false],
      [{ memory: 7, context: 32_768 }, int8, int8, true],
      [{ memory: 6.4, context: 32_768 }, k8v4, int8, false],
      [{ memory: 6.2, context: 32_768 }, int4, int8, false],
      [{ memory: 6, context: 32_768 }, undefined, int8, false],
      [{ memory: 6.2, context: 65_536 }, undefined, pruned, false],
      [{ memory: 5.9, context: 8000 }, int8, full, false],
      [{ memory: 4.5, context: 512 }, undefined, full, false],
      // A GPU leaves more of its memory.
      [{ memory: 7, context: 32_768, device: 'gpu' }, full, int8, false],
      // Heads decide how much a token takes: all of its own, or one for all queries.
      [{ model: many, memory: 16, context: 32_768 }, int8, int8, true],
      [{ model: single, memory: 16, context: 131_072 }, full, pruned, false],
      // A bound of the cache counts as memory does.
      [{ memory: 64, context: 32_768, cache: { budgetMiB: 1024 } }, int8, int8, true],
      [{ memory: 64, context: 32_768, cache: { budgetMiB: 100 } }, undefined, int8, false],
      // What llama.cpp keeps is FP16, or does not fit.
      [{ model: windows, memory: 16, context: 32_768 }, full, int8, false],
      [{ model: windows, memory: 7, context: 32_768 }, undefined, int8, false],
      [{ model: recurrent, memory: 6, context: 131_072 }, full, pruned, false],
    ];
    for (const [given, cache, rule, agrees] of cases) {
      const { cache: chosen, byLength } = choose(given);
      const what = JSON.stringify({ ...given, model: undefined });
      assert.equal(chosen, cache, what);
      assert.equal(byLength.cache, rule, what);
      assert.equal(byLength.agrees, agrees, what);
      assert.notEqual(byLength.reason, '', what);
    }
  });

  it('takes what fits exactly', () => {
    const place: Place = { device: 'cpu', bytes: 16 * GiB };
    const taken = sumOf(cacheFit(grouped, weightBytes, 16_384, cacheOf({ policy: 'full' }), place));
    const memory = memoryWithRoom(taken, 'cpu') / GiB;
    assert.equal(choose({ memory: memory + 1 / GiB, context: 16_384 }).cache, full);
    assert.equal(choose({ memory: memory - 2 / GiB, context: 16_384 }).cache, int8);
  });

  it('says why', () => {
    const reason = (given: Case): string => choose(given).reason;
    assert.match(
      reason({ memory: 16, context: 32_768 }),
      /^it fits with [\d.]+ GiB to spare; .* int8 decodes 1\.09x as fast after 16 384 tokens \(.*decode-16384\.json\)$/,
    );
    assert.match(
      reason({ memory: 7, context: 32_768 }),
      /^full lacks [\d.]+ MiB; this is the least lossy .* 1\.9x smaller .* the same after 99\.3 % .* by -0\.007 % \(.*report\.json\)$/,
    );
    assert.match(
      reason({ memory: 7, context: 32_768, cache: { sink: 8 } }),
      /what it costs was not measured$/,
    );
    assert.match(reason({ memory: 16, context: 200 }), /200 tokens are all among those that stay/);
    assert.match(reason({ model: windows, memory: 16, context: 8192 }), /windows of their own/);
    assert.match(reason({ model: recurrent, memory: 16, context: 8192 }), /tells of no KV cache/);
    const uneven = sized(alike(28, 4, 192, 128));
    assert.match(
      reason({ model: uneven, memory: 16, context: 8192 }),
      /only llama\.cpp has a cache/,
    );
    assert.match(
      reason({ memory: 4.5, context: 8192 }),
      /^the weights and a step of prefill alone take [\d.]+ GiB, and there is room for [\d.]+ GiB$/,
    );
    assert.match(
      reason({ memory: 6.2, context: 131_072 }),
      /^at 131 072 tokens even selective int4 lacks [\d.]+ GiB of 6\.20 GiB of memory$/,
    );
    assert.match(
      choose({ memory: 16, context: 65_536 }).byLength.reason,
      /^memory has room for FP16, .*; what is pruned is lost for good/,
    );
  });

  it('says what would do, and it does', () => {
    const given: Case = { memory: 6.2, context: 131_072 };
    const { advice } = choose(given);
    const found = (pattern: RegExp): number => {
      const text = advice.map((way) => pattern.exec(way)?.[1]).find((one) => one !== undefined);
      assert.ok(text !== undefined, `${String(pattern)} in ${advice.join('\n')}`);
      return Number(text);
    };
    assert.equal(choose({ ...given, context: found(/--context (\d+)\)/) }).cache, int4);
    assert.equal(choose({ ...given, memory: found(/more memory: ([\d.]+) GiB/) }).cache, int4);
    const weights = found(/weights of at most ([\d.]+) GiB/);
    assert.equal(choose({ ...given, weights: weights - 0.01 }).cache, int4);
    assert.equal(choose({ ...given, weights: weights + 0.01 }).cache, undefined);
    assert.ok(advice.some((way) => /loses tokens for good.*: compressed$/.test(way)));
    assert.ok(!advice.some((way) => way.includes('GPU')));

    const onGpu = choose({ ...given, device: 'gpu', memory: 5 }).advice;
    assert.ok(onGpu.some((way) => way.startsWith('the CPU for the layers')));
    const bound = { memory: 64, context: 32_768, cache: { budgetMiB: 100 } };
    const [, higher] = choose(bound).advice;
    const budgetMiB = Number(/--budget (\d+)$/.exec(higher ?? '')?.[1]);
    assert.equal(choose({ ...bound, cache: { budgetMiB } }).cache, int4);
    // No context helps where the weights alone are too much.
    assert.ok(!choose({ memory: 4, context: 8192 }).advice.some((way) => way.includes('shorter')));
  });
});

describe('what --model names', () => {
  const hub = fakeHub();
  const repository = 'some/Model-GGUF';
  const patience = { ...downloadOptions, retries: 0, wait: () => Promise.resolve() };
  const ask = async (model: string, token?: string) => {
    const address = parseAddress(model);
    assert.ok(address);
    const found = hubOf(token, { HF_ENDPOINT: hub.endpoint }, patience);
    assert.ok(found.ok);
    return hubSource(found.value, address, signal());
  };
  const failure = async (model: string): Promise<string> => {
    const found = await ask(model);
    assert.ok(!found.ok);
    return `${found.error.code} ${found.error.message}`;
  };

  beforeEach(() => {
    hub.reset();
    hub.repositories.set(repository, {
      files: {
        'model-Q8_0.gguf': valid,
        'Model-q4_k_m.gguf': valid.subarray(0, 4_000_000),
        'f16/model-bf16-00001-of-00002.gguf': valid,
        'f16/model-bf16-00002-of-00002.gguf': valid,
        'mmproj-model.gguf': valid,
      },
    });
  });

  it('is a path, or an address on a hub', () => {
    assert.equal(parseAddress('model.gguf'), undefined);
    assert.equal(parseAddress('C:\\hf.gguf'), undefined);
    assert.deepEqual(parseAddress('hf:a/b'), { repository: 'a/b' });
    assert.deepEqual(parseAddress('hf:a/b:Q4_K_M'), { repository: 'a/b', choice: 'Q4_K_M' });
    assert.deepEqual(parseAddress('hf:a/b:c/d.gguf'), { repository: 'a/b', choice: 'c/d.gguf' });
    assert.deepEqual(parseAddress('hf:'), { repository: '' });
  });

  it('is every quantisation of a repository, by one header', async () => {
    const found = await ask(`hf:${repository}`);
    assert.ok(found.ok, JSON.stringify(found));
    const { header, candidates } = found.value;
    assert.equal(header.name, 'sightline-tiny-code');
    assert.deepEqual(
      candidates.map(({ quantisation, files, weightBytes }) => [quantisation, files, weightBytes]),
      [
        ['Q4_K_M', 1, 4_000_000],
        ['Q8_0', 1, valid.length],
        ['BF16', 2, 2 * valid.length],
      ],
    );
    assert.deepEqual(hub.ranges(), ['bytes=0-1999999']);
  });

  it('is one of them by its name, or by its file', async () => {
    for (const [choice, file] of [
      ['Q4_K_M', 'Model-q4_k_m.gguf'],
      ['q8_0', 'model-Q8_0.gguf'],
      ['model-Q8_0.gguf', 'model-Q8_0.gguf'],
      ['model-bf16-00002-of-00002.gguf', 'f16/model-bf16-00001-of-00002.gguf'],
    ] as const) {
      const found = await ask(`hf:${repository}:${choice}`);
      assert.ok(found.ok, choice);
      assert.deepEqual(
        found.value.candidates.map((candidate) => candidate.file),
        [file],
      );
    }
    assert.equal(
      await failure(`hf:${repository}:Q5_K_M`),
      `MODEL_NOT_FOUND ${repository} has no "Q5_K_M". It has: Q4_K_M, Q8_0, BF16.`,
    );
    assert.match(await failure(`hf:${repository}:`), /^MODEL_NOT_FOUND .* has no ""\./);
  });

  it('may not be there, not be public, or be no model', async () => {
    assert.match(await failure('hf:nobody/nothing'), /^ACCESS_DENIED/);
    assert.match(await failure('hf:nonsense'), /^BAD_ARGUMENT "nonsense" is no repository/);
    hub.repositories.set('a/secret', { files: { 'm.gguf': valid }, token: 'good' });
    assert.match(await failure('hf:a/secret'), /^ACCESS_DENIED/);
    assert.ok((await ask('hf:a/secret', 'good')).ok);
    hub.repositories.set('a/text', { files: { 'README.md': Buffer.from('none') } });
    assert.match(await failure('hf:a/text'), /^DOWNLOAD_FAILED a\/text has no GGUF model/);
    hub.repositories.set('a/broken', { files: { 'm.gguf': valid.subarray(0, 3000) } });
    assert.match(await failure('hf:a/broken'), /^MODEL_INVALID m\.gguf is no whole GGUF model/);
  });

  it('may be of an architecture that nobody knows: heads and layers count', async () => {
    const { metadata, tensors } = readGguf(valid);
    const fileWith = (keeps: (key: string) => boolean): Buffer => {
      const renamed = [...metadata]
        .filter(([key]) => keeps(key))
        .map(([key, value]) => [key.replace(/^qwen2\./, 'novel.'), value] as const);
      const next = new Map([...renamed, ['general.architecture', encode.string('novel')]] as const);
      return Buffer.concat([...ggufPieces({ metadata: next, tensors })]);
    };
    const folder = folderWith({
      'novel.gguf': fileWith(() => true),
      'recurrent.gguf': fileWith((key) => !key.includes('head_count')),
    });
    const [plain, novel, recurrent] = await Promise.all(
      [bundled, join(folder, 'novel.gguf'), join(folder, 'recurrent.gguf')].map((path) =>
        localSource(path, signal()),
      ),
    );
    assert.ok(plain?.ok && novel?.ok && recurrent?.ok);
    assert.equal(novel.value.header.architecture, 'novel');
    assert.deepEqual(novel.value.header.layers, plain.value.header.layers);
    assert.equal(keeperOf(recurrent.value.header), 'none');
  });

  it('is a file here, with all its parts', async () => {
    const [first, second] = ['m-Q8_0-00001-of-00002.gguf', 'm-Q8_0-00002-of-00002.gguf'];
    const folder = folderWith({
      [first]: valid,
      [second]: Buffer.alloc(1000),
      'half-00001-of-00002.gguf': valid,
      'cut.gguf': valid.subarray(0, 5000),
    });
    for (const name of [first, second]) {
      const found = await localSource(join(folder, name), signal());
      assert.ok(found.ok, JSON.stringify(found));
      assert.deepEqual(found.value.candidates, [
        { file: first, quantisation: 'Q8_0', files: 2, weightBytes: valid.length + 1000 },
      ]);
    }
    const failed = async (name: string): Promise<string> => {
      const found = await localSource(join(folder, name), signal());
      assert.ok(!found.ok);
      return `${found.error.code} ${found.error.message}`;
    };
    assert.match(await failed('half-00001-of-00002.gguf'), /^MODEL_INVALID Parts of half/);
    assert.match(await failed('cut.gguf'), /^MODEL_INVALID .* is no whole GGUF model/);
    assert.match(await failed('gone.gguf'), /^MODEL_NOT_FOUND .*gone\.gguf cannot be read/);
  });
});

describe('formatFit', () => {
  const base = cacheOf();
  const place: Place = { device: 'gpu', bytes: 8 * GiB };
  const contextTokens = 32_768;
  function reportOf(...weights: readonly (readonly [string, number])[]): FitReport {
    return {
      model: {
        name: 'Some 7B',
        architecture: 'some',
        trainedTokens: 131_072,
        layers: [...grouped.layers, { kvHeads: 0, keySize: 1, valueSize: 1 }],
      },
      place,
      contextTokens,
      warnings: [],
      candidates: weights.map(([quantisation, size], i) => {
        const fit = (cache: typeof base): CacheFit =>
          cacheFit(grouped, size * GiB, contextTokens, cache, place);
        const ladder = ladderOf(base).map(fit);
        const dropping = cachesOf(base).filter(drops).map(fit);
        return {
          ...{ quantisation, file: `${i}.gguf`, files: i + 1, weightBytes: size * GiB },
          caches: cachesOf(base).map(fit),
          recommendation: recommend({
            ...{ contextTokens, place, budgetMiB: 0, keeper: 'sightline', ladder, dropping },
          }),
        };
      }),
    };
  }

  it('tells of one quantisation which caches fit, and what they cost', () => {
    const lines = formatFit(reportOf(['Q6_K', 5.8])).split('\n');
    assert.deepEqual(lines.slice(0, 10), [
      'model    Some 7B (some), 28 layers with 4 KV heads of 128, 1 layer with no KV cache, trained for 131 072 tokens',
      'memory   8.00 GiB of a GPU, 7.75 GiB of it for the model',
      'context  32 768 tokens',
      'weights  5.80 GiB, Q6_K',
      'step     437.60 MiB for a step of prefill',
      '',
      'cache                          bytes  FP16 / it  fits     to spare  longest context    same token  perplexity   divergence',
      'full                        1.75 GiB      1.00x    no  -232.80 MiB           28 416     reference',
      'selective int8            928.13 MiB      1.93x   yes   631.07 MiB           55 296        99.3 %    -0.007 %  1.7e-4 nats',
      'selective k8v4            741.78 MiB      2.42x   yes   817.42 MiB           70 528        99.2 %    -0.006 %  2.2e-4 nats',
    ]);
    const text = lines.join('\n');
    assert.match(text, /^auto .* not measured$/m);
    assert.match(text, /^h2o .* 94\.5 %    \+1\.739 %  2\.7e-2 nats$/m);
    assert.match(text, /^auto +>= [\d.]+ MiB /m);
    assert.match(text, /^h2o int8, 50 % /m);
    assert.match(text, /^Tokens are lost for good with h2o, importance, compressed\.$/m);
    assert.match(text, /^take {5}selective int8\nwhy {6}full lacks 232\.80 MiB; /m);
    assert.match(text, /^rule .* would take selective int8: memory says the same$/m);
    assert.ok(lines.every((line) => line === line.trimEnd()));
  });

  it('tells of several which fits, a row each', () => {
    const several = reportOf(['Q4_K_M', 4.4], ['Q6_K', 5.8], ['Q8_0', 7.2], ['', 14]);
    const text = formatFit(several);
    const rows = text.split('\n');
    const at = rows.findIndex((line) => line.startsWith('quantisation'));
    assert.deepEqual(
      rows
        .slice(at + 1, at + 5)
        .map((line) => [line.split(/ {2,}/)[0], line.split(/ {2,}/).at(-1)]),
      [
        ['Q4_K_M', 'full'],
        ['Q6_K (2 files)', 'selective int8'],
        ['Q8_0 (3 files)', 'nothing fits'],
        ['3.gguf (4 files)', 'nothing fits'],
      ],
    );
    assert.match(text, /^The largest that fits is Q6_K \(2 files\)\. With FP16 .* Q4_K_M\.$/m);
    const twice = formatFit(reportOf(['Q6_K', 5.8], ['Q6_K', 5.9]));
    assert.match(twice, /^0\.gguf .*\n1\.gguf \(2 files\) /m);
    const none = formatFit(reportOf(['Q8_0', 9], ['F16', 14]));
    assert.match(none, /^take {5}none: .*\nwhy {6}the weights .*\nor {7}/m);
  });
});
