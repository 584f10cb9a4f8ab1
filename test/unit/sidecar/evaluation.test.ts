import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { writingFailed } from '../../../sidecar/cli/files.ts';
import { writeWhole } from '../../../sidecar/wholeFile.ts';
import { readCorpus, repositoryOf } from '../../../sidecar/evaluation/corpus.ts';
import { groupsOf } from '../../../sidecar/evaluation/needles.ts';
import { htmlReport } from '../../../sidecar/evaluation/report/html.ts';
import { parseReport, reportOf, type About } from '../../../sidecar/evaluation/report/report.ts';
import { csvOf, columns, markdownTable } from '../../../sidecar/evaluation/report/table.ts';
import {
  binOf,
  quantileOfBins,
  type EvaluationResult,
  type PredictionsResult,
} from '../../../sidecar/evaluation/results.ts';
import { editSimilarity, rougeL } from '../../../sidecar/evaluation/similarity.ts';
import { bootstrap, mean } from '../../../sidecar/evaluation/statistics.ts';
import { keyOf, Store } from '../../../sidecar/evaluation/store.ts';
import { strategiesOf } from '../../../sidecar/evaluation/strategies.ts';
import { rowsOf } from '../../../sidecar/evaluation/summary.ts';
import { verdictsOf } from '../../../sidecar/evaluation/verdicts.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sightline-'));
});
after(() => rm(folder, { recursive: true }));

/** A context whose loss is `more` nats a token above that of the full cache. */
function predicted(cache: string, chunk: number, more: number, sameTop = 990): PredictionsResult {
  const tokens = 1000;
  return {
    task: 'predictions',
    cache,
    context: 2000,
    chunk,
    tokens,
    loss: (2 + more) * tokens,
    fullLoss: 2 * tokens,
    divergence: 0.001 * tokens,
    sameTop,
    divergences: { [binOf(1e-4)]: 998, [binOf(0.1)]: 2 },
    byPosition: [0, 0.001],
    bytes: 1000,
    fullBytes: 1850,
    droppedTokens: 0,
  };
}

const needle = (cache: string, chosen: readonly boolean[], round = 0): EvaluationResult => ({
  task: 'needles',
  cache,
  context: 2000,
  needles: 4,
  round,
  found: chosen.map((found, depth) => ({ depth, chosen: found, exact: false, loss: 1 })),
});

describe('strategiesOf', () => {
  it('takes policies with their tiers, each once, behind the reference', () => {
    const found = strategiesOf(['selective', 'selective:int8', 'h2o:int4', 'compressed', 'full'], {
      sink: 4,
    });
    assert.ok(found.ok);
    assert.deepEqual(found.value, [
      { name: 'full', cache: { policy: 'full' } },
      { name: 'selective:int8', cache: { policy: 'selective', tier: 'int8', sink: 4 } },
      { name: 'h2o:int4', cache: { policy: 'h2o', tier: 'int4', sink: 4 } },
      { name: 'compressed', cache: { policy: 'compressed', sink: 4 } },
    ]);
  });

  it('takes a window of its own for one of them', () => {
    const names = ['selective:int8:128', 'selective:64', 'compressed:0512', 'selective:int8'];
    const found = strategiesOf(names, { window: 256 });
    assert.ok(found.ok);
    assert.deepEqual(
      found.value.map(({ name, cache }) => [name, cache.window]),
      [
        ['full', undefined],
        ['selective:int8:128', 128],
        ['selective:int8:64', 64],
        ['compressed:512', 512],
        ['selective:int8', 256],
      ],
    );
  });

  it('says which there are where it knows none of that name', () => {
    for (const name of [
      'best',
      'selective:int5',
      'compressed:int8',
      'full:int8',
      'h2o:int8:x',
      'full:128',
      'selective:128:int8',
      'selective:int8:-1',
      'selective:int8:128:4',
      '',
    ]) {
      const found = strategiesOf([name], {});
      assert.ok(!found.ok, name);
      assert.match(found.error, /there are full, compressed, .* one of int8, fp8/);
    }
  });
});

describe('readCorpus', () => {
  it('reads source, leaves out what is not, and tells whose it is', async () => {
    const root = join(folder, 'corpus');
    await mkdir(join(root, 'src/node_modules/x'), { recursive: true });
    await mkdir(join(root, '.git'), { recursive: true });
    const files: Readonly<Record<string, string>> = {
      'package.json': '{"name":"ours","version":"1.2.3","license":"MIT"}',
      'src/a.ts': 'const a = 1;\r\n',
      'src/b.py': 'b = 2\n',
      'src/c.ts': 'zero\0byte',
      'src/min.js': `${'x'.repeat(3000)}\n`,
      'src/empty.ts': ' \n',
      'src/data.json': '{}',
      'src/node_modules/x/d.ts': 'const d = 1;\n',
      '.git/e.ts': 'const e = 1;\n',
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
    const corpus = await readCorpus([root]);
    assert.ok(corpus.ok);
    const texts = new Map(corpus.value.files.map(({ name, text }) => [name, text]));
    assert.deepEqual(
      new Map([
        ['corpus/src/a.ts', 'const a = 1;\n'],
        ['corpus/src/b.py', 'b = 2\n'],
      ]),
      new Map([...texts].sort()),
    );
    assert.deepEqual(corpus.value.sources, ['ours@1.2.3 (MIT)']);
    assert.deepEqual(corpus.value.files.map(repositoryOf), ['corpus', 'corpus']);
    // A file that is named is taken whatever its name.
    const one = await readCorpus([join(root, 'src/data.json')]);
    assert.ok(one.ok);
    assert.deepEqual(
      one.value.files.map((file) => [file.name, repositoryOf(file)]),
      [['data.json', '']],
    );
    assert.notEqual(one.value.sha256, corpus.value.sha256);
  });

  it("tells Python's own library by where it is and what it has", async () => {
    const library = join(folder, 'lib/python3.11');
    await mkdir(join(library, 'json'), { recursive: true });
    await writeFile(join(library, 'json/decoder.py'), 'import re\n');
    const sources = async (): Promise<unknown> => {
      const corpus = await readCorpus([join(library, 'json')]);
      assert.ok(corpus.ok);
      return corpus.value.sources;
    };
    assert.deepEqual(await sources(), []);
    await writeFile(join(library, 'os.py'), 'import sys\n');
    assert.deepEqual(await sources(), ["Python 3.11's standard library (PSF-2.0)"]);
  });

  it('says what is missing', async () => {
    const missing = await readCorpus([join(folder, 'nowhere')]);
    assert.ok(!missing.ok);
    assert.match(missing.error, /there is no file or folder .*nowhere/);
    await mkdir(join(folder, 'bare'));
    const bare = await readCorpus([join(folder, 'bare')]);
    assert.ok(!bare.ok);
    assert.match(bare.error, /no source file in .*bare; name files or folders/);
  });
});

describe('figures of texts', () => {
  it('measures what two texts have in common', () => {
    assert.equal(editSimilarity('', ''), 1);
    assert.equal(editSimilarity('abcd', 'abxd'), 0.75);
    assert.equal(editSimilarity('abcd', ''), 0);
    assert.equal(rougeL('a = b;', 'a = b;'), 1);
    assert.equal(rougeL('', 'a'), 0);
    assert.equal(rougeL('', ''), 1);
    // Of four words and two, `return` and `x` are common, in order.
    assert.equal(rougeL('return ( x )', 'return x'), (2 * 2) / (4 + 2));
    assert.equal(rougeL('x return', 'return x'), 0.5);
  });

  it('finds quantiles of divergences to 6 %', () => {
    const counts: Record<string, number> = {};
    for (let i = 1; i <= 1000; i++) {
      const bin = binOf(i / 1000);
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    for (const share of [0.1, 0.5, 0.999])
      assert.ok(Math.abs(quantileOfBins(counts, share) / share - 1) < 0.07, String(share));
    assert.equal(quantileOfBins({ [binOf(0)]: 3 }, 0.5), 0);
  });

  it('gives intervals that are always the same and hold the figure', () => {
    const samples = [1, 2, 3, 4, 5, 6, 7, 8];
    const found = bootstrap(samples, mean);
    assert.deepEqual(found, bootstrap(samples, mean));
    assert.equal(found.value, 4.5);
    // The mean's standard error is 0.81.
    assert.ok(Math.abs(found.low - 2.9) < 0.25 && Math.abs(found.high - 6.1) < 0.25);
    assert.deepEqual(bootstrap([3, 3], mean), { value: 3, low: 3, high: 3 });
  });

  it('asks for every depth once, whatever needles share a context', () => {
    for (const count of [1, 4, 16])
      assert.deepEqual(
        groupsOf(count)
          .flat()
          .sort((a, b) => a - b),
        [...Array(10).keys()],
      );
    assert.equal(groupsOf(16).length, 1);
    assert.equal(groupsOf(1).length, 10);
  });
});

describe('Store', () => {
  const origin = { model: 'm', modelBytes: 1, corpus: 'c', edges: '{}' };
  const open = async (file: string, other = {}, fresh = false): Promise<Store> => {
    const store = await Store.open(file, { ...origin, ...other }, fresh);
    assert.ok(store.ok, store.ok ? '' : store.error);
    return store.value;
  };

  it('has what was added, also after a line that was cut short', async () => {
    const file = join(folder, 'store/results.jsonl');
    const [one, two] = [predicted('full', 0, 0), predicted('full', 1, 0)];
    await (await open(file)).add(one);
    await writeFile(file, `${await readFile(file, 'utf8')}{"task":"predi`);
    const again = await open(file);
    assert.deepEqual(again.get(keyOf(one)), one);
    assert.equal(again.get(keyOf(two)), undefined);
    await again.add(two);
    assert.deepEqual((await open(file)).get(keyOf(two)), two);
    assert.equal((await open(file, {}, true)).get(keyOf(one)), undefined);
  });

  it('does not mix results of different models or texts', async () => {
    const file = join(folder, 'other/results.jsonl');
    await (await open(file)).add(predicted('full', 0, 0));
    for (const other of [{ model: 'n' }, { corpus: 'd' }, { edges: '{"sink":1}' }]) {
      const refused = await Store.open(file, { ...origin, ...other }, false);
      assert.ok(!refused.ok);
      assert.match(refused.error, /another model, corpus or window; .* --out, .* --fresh/);
    }
    await writeFile(file, 'something else');
    assert.ok(!(await Store.open(file, origin, false)).ok);
  });
});

describe('rows and verdicts', () => {
  const of = (cache: string, more: readonly number[], sameTop?: number): EvaluationResult[] =>
    more.map((one, chunk) => predicted(cache, chunk, one, sameTop));

  it('pairs each context with the full cache', () => {
    const [row] = rowsOf(of('selective:int8', [0.001, 0.003]));
    assert.ok(row?.predictions);
    const { change, perplexity, sameTop, smaller, p999, median } = row.predictions;
    assert.ok(Math.abs(change.value - 100 * Math.expm1(0.002)) < 1e-9);
    // Two contexts: the interval is from one to the other.
    assert.ok(Math.abs(change.low - 100 * Math.expm1(0.001)) < 1e-9);
    assert.ok(Math.abs(change.high - 100 * Math.expm1(0.003)) < 1e-9);
    assert.ok(Math.abs(perplexity - Math.exp(2.002)) < 1e-9);
    assert.equal(sameTop.value, 99);
    assert.equal(smaller, 1.85);
    assert.ok(median < 2e-4 && p999 > 0.05);
  });

  it('finds a bound met, missed, or neither', () => {
    const verdict = (more: readonly number[], bound: number): string | undefined =>
      verdictsOf(rowsOf(of('selective:int8', more))).find(
        (one) => one.bound === bound && one.unit === '%',
      )?.verdict;
    assert.equal(verdict([0.0002, 0.0003], 0.1), 'met');
    assert.equal(verdict([0.002, 0.003], 0.1), 'missed');
    assert.equal(verdict([0.0002, 0.003], 0.1), 'unclear');
    assert.equal(verdict([0.002, 0.003], 0.5), 'met');
    const low = verdictsOf(rowsOf(of('selective:int8', [0, 0], 970)));
    assert.equal(low.find(({ bound }) => bound === 98)?.verdict, 'missed');
    assert.equal(verdictsOf(rowsOf(of('h2o:int8', [0.04])))[0]?.verdict, 'missed');
    assert.equal(verdictsOf(rowsOf(of('selective:int4', [0.01])))[0]?.verdict, 'met');
    assert.deepEqual(verdictsOf(rowsOf(of('hierarchical', [1]))), []);
  });

  it('compares needles one by one with those of the full cache', () => {
    const found = (...others: EvaluationResult[]): string | undefined =>
      verdictsOf(
        rowsOf([
          needle('full', [true, true, false]),
          needle('full', [true, true, true], 1),
          ...others,
        ]),
      ).find(({ claim }) => claim.includes('needles'))?.verdict;
    const same = needle('selective:int8', [true, true, true], 1);
    assert.equal(found(needle('selective:int8', [true, true, false]), same), 'met');
    assert.equal(found(needle('selective:int8', [true, true, true]), same), 'met');
    assert.equal(
      found(
        needle('selective:int8', [false, false, false]),
        needle('selective:int8', [false, false, false], 1),
      ),
      'missed',
    );
    assert.equal(found(needle('selective:int8', [true, false, true]), same), 'unclear');
  });

  it('tells how much less likely their values are than with the full cache', () => {
    const losses = (cache: string, round: number, all: readonly number[]): EvaluationResult => ({
      task: 'needles',
      cache,
      context: 2000,
      needles: 1,
      round,
      found: all.map((loss, depth) => ({ depth, chosen: false, exact: false, loss })),
    });
    const rows = rowsOf([
      losses('full', 0, [5, 7]),
      losses('full', 1, [9, 9]),
      losses('selective:int8', 0, [5.02, 7]),
      losses('selective:int8', 1, [9, 9.02]),
      losses('compressed', 0, [6, 7]),
      losses('compressed', 1, [11, 9]),
    ]);
    const [full, int8, compressed] = rows.map(({ retrieval }) => retrieval);
    assert.deepEqual(full?.lossAboveFull, { value: 0, low: 0, high: 0 });
    assert.ok(Math.abs((int8?.lossAboveFull.value ?? 1) - 0.01) < 1e-9);
    assert.deepEqual(compressed?.lossByDepth, [1.5, 0]);
    assert.equal(compressed.lossAboveFull.value, 0.75);
    const verdicts = verdictsOf(rows).filter(({ claim }) => claim.includes('loss of a needle'));
    assert.deepEqual(
      verdicts.map(({ cache, verdict }) => [cache, verdict]),
      [['selective:int8', 'met']],
    );
    const worse = rowsOf([losses('full', 0, [5, 7]), losses('selective:int8', 0, [5.4, 7.3])]);
    assert.equal(
      verdictsOf(worse).find(({ claim }) => claim.includes('loss of a needle'))?.verdict,
      'missed',
    );
  });
});

describe('the report', () => {
  const about: About = {
    format: 1,
    command: 'sightline eval --corpus "<script>alert(1)</script>"',
    when: '2026-01-01T00:00:00.000Z',
    complete: false,
    model: {
      name: 'a <b> & c',
      file: 'm.gguf',
      architecture: 'qwen2',
      parameters: 1e6,
      trainedTokens: 8192,
    },
    machine: { cpu: 'c', gpu: null, threads: 1, kernels: 'avx2' },
    corpus: { sha256: 'f', files: 2, tokens: 10, sources: ['ours@1.0.0 (MIT)'] },
    memory: { tokens: [0, 100], policies: [{ policy: 'full', bytes: [0, 2 ** 20] }] },
    refused: [{ cache: 'lowrank:int8', reason: 'no kernels' }],
  };
  const results: EvaluationResult[] = [
    predicted('full', 0, 0, 1000),
    predicted('selective:int8', 0, 0.0001),
    needle('selective:int8', [true, false]),
    {
      task: 'speed',
      cache: 'selective:int8',
      context: 2000,
      tokensPerSecond: [20, 22],
      fullTokensPerSecond: [10, 11],
    },
  ];
  const report = reportOf(about, results);

  it('is read back as it was written, its figures computed anew', () => {
    assert.deepEqual(parseReport(JSON.stringify(report)), JSON.parse(JSON.stringify(report)));
    assert.throws(() => parseReport('{}'));
  });

  it('is one page that runs nothing and loads nothing', () => {
    const page = htmlReport(report);
    assert.ok(!page.includes('<script'));
    assert.ok(page.includes('&lt;script&gt;'));
    assert.ok(page.includes('a &lt;b&gt; &amp; c'));
    assert.ok(!/(?:src|href)="(?!#)/.test(page));
    assert.ok(!/url\((?!#)/.test(page));
    // Memory, divergence, four needles, how likely their values are, and speed.
    assert.equal(page.match(/<svg /g)?.length, 5);
    assert.match(page, /Not all that was asked for has been measured/);
    assert.match(page, /<strong>lowrank:int8<\/strong> was not measured: no kernels/);
    assert.match(page, /class="met"/);
  });

  it('is a table for people, and one for programs', () => {
    const [head = '', , full = '', int8 = ''] = markdownTable(report.rows, columns).split('\n');
    assert.equal(head.split('|').length, full.split('|').length);
    assert.match(
      int8,
      /^\| selective:int8 \| 7\.390 \| \+0\.0100 % \|.* 1 of 2 \|.* 2\.00x \|.* 1\.85x \|$/,
    );
    const lines = csvOf(report.rows).trimEnd().split('\n');
    assert.equal(lines.length, 3);
    const cell = (name: string): string | undefined =>
      lines[2]?.split(',')[lines[0]?.split(',').indexOf(name) ?? -1];
    assert.equal(cell('cache'), 'selective:int8');
    assert.equal(cell('4 needles chosen'), '0.5');
    assert.equal(cell('1 needles chosen'), '');
    assert.equal(cell('speed ratio'), '2');
  });

  it('is written whole or not at all, and says what to do where it cannot be', async () => {
    const file = join(folder, 'report.txt');
    await writeWhole(file, 'one');
    await writeWhole(file, 'two');
    assert.equal(await readFile(file, 'utf8'), 'two');
    await assert.rejects(writeWhole(join(folder, 'nowhere', 'report.txt'), 'x'), (error) => {
      assert.match(writingFailed(error) ?? '', /Name another folder with --out/);
      return true;
    });
    const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    assert.match(writingFailed(full) ?? '', /the disk is full.*Make room/);
    assert.equal(writingFailed(new Error('other')), undefined);
  });
});
