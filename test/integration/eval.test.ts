import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseReport, type Report } from '../../sidecar/evaluation/report/report.ts';
import { root, runCommand, type Run } from './support.ts';

const corpus = join(root, 'node_modules/vscode-jsonrpc/lib');
let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sightline-'));
});
after(() => rm(folder, { recursive: true }));

type Options = Readonly<Record<string, string>>;

const evaluate = (given: Options, watch?: Parameters<typeof runCommand>[1]): Promise<Run> => {
  const options: Options = {
    corpus,
    contexts: '1024',
    caches: 'compressed,selective:int8',
    tasks: 'predictions,continuation,speed',
    chunks: '1',
    'window-size': '256',
    threads: '1',
    device: 'cpu',
    ...given,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  return runCommand(['eval', ...args], watch);
};

const reportIn = async (out: string): Promise<Report> =>
  parseReport(await readFile(join(out, 'report.json'), 'utf8'));

describe('sightline eval', () => {
  it('measures every cache beside the full one, and goes on where it was', async () => {
    const out = join(folder, 'one');
    const first = await evaluate({ out });
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /^1024 tokens of context$/m);
    assert.match(first.stdout, /^\| selective:int8 \| [\d.]+ \|/m);
    assert.match(first.stdout, /^(?:met|missed|unclear) +int8: perplexity, as we ask/m);
    const report = await reportIn(out);
    assert.ok(report.complete);
    const row = (cache: string): Report['rows'][number] => {
      const found = report.rows.find((one) => one.cache === cache);
      assert.ok(found);
      return found;
    };
    const [full, int8, compressed] = ['full', 'selective:int8', 'compressed'].map(row);
    // The same cache twice predicts the same, to the bit.
    assert.equal(full?.predictions?.mean.value, 0);
    assert.equal(full.predictions.sameTop.value, 100);
    assert.equal(full.continuation?.similarity.value, 1);
    assert.notEqual(int8?.predictions?.mean.value, 0);
    assert.ok((int8?.predictions?.mean.value ?? 1) < (compressed?.predictions?.mean.value ?? 0));
    assert.ok((int8?.predictions?.smaller ?? 0) > 1.2);
    assert.ok((compressed?.speed?.tokensPerSecond ?? 0) > 0);
    assert.match(report.corpus.sources.join(), /^vscode-jsonrpc@[\d.]+ \(MIT\)$/);
    assert.match(await readFile(join(out, 'report.html'), 'utf8'), /<svg /);
    assert.match(await readFile(join(out, 'report.csv'), 'utf8'), /^selective:int8,1024,/m);

    // A further cache; what was measured is not measured again.
    const second = await evaluate({ out, caches: 'compressed,selective:int8,selective:int4' });
    assert.equal(second.code, 0, second.stderr);
    assert.match(second.stderr, /9 of 12 measurements are there already/);
    const more = await reportIn(out);
    const old = more.results.filter(({ cache }) => cache !== 'selective:int4');
    assert.deepEqual(old, report.results);
    assert.equal(more.results.length, 12);
  });

  it('retrieves, and completes what was taken out of files', async () => {
    const out = join(folder, 'two');
    const options = { contexts: '2048', tasks: 'needles,hole', rounds: '1', holes: '1' };
    const { code, stderr } = await evaluate({ ...options, caches: 'full', out });
    assert.equal(code, 0, stderr);
    const [row] = (await reportIn(out)).rows;
    assert.deepEqual(
      row?.retrieval?.counts.map(({ needles, asked }) => [needles, asked]),
      [
        [1, 10],
        [4, 10],
        [16, 10],
      ],
    );
    // The bundled model finds some of what it has in sight; guessing finds one of eight.
    const chosen = row.retrieval.counts.reduce((all, one) => all + one.chosen, 0);
    assert.ok(chosen > 7, `${chosen} of 30`);
    assert.equal(row.holes?.count, 3);
  });

  it('keeps what is done when it is interrupted', async () => {
    const out = join(folder, 'three');
    const options = { out, tasks: 'predictions', chunks: '3', contexts: '1024,2048' };
    const cut = await evaluate(options, (child) => {
      let interrupted = false;
      const timer = setInterval(() => {
        void readFile(join(out, 'results.jsonl'), 'utf8').then(
          (text) => {
            if (text.split('\n').length <= 3) return;
            clearInterval(timer);
            if (!interrupted) child.kill('SIGINT');
            interrupted = true;
          },
          () => undefined,
        );
      }, 5);
      child.once('exit', () => {
        clearInterval(timer);
      });
    });
    assert.equal(cut.code, 130, cut.stderr);
    assert.match(cut.stderr, /\d+ of 18 measurements are in .*; the same command goes on/);
    const before = await reportIn(out);
    assert.ok(!before.complete && before.results.length >= 2);
    const whole = await evaluate(options);
    assert.equal(whole.code, 0, whole.stderr);
    const after = await reportIn(out);
    assert.ok(after.complete);
    assert.equal(after.results.length, 18);
    assert.deepEqual(after.results.slice(0, before.results.length), before.results);
  });

  it('says what is wrong', async () => {
    const small = join(folder, 'small.ts');
    await writeFile(small, 'const a = 1;\n');
    const cases: readonly (readonly [Options, number, RegExp])[] = [
      [{ caches: 'selective,best' }, 2, /no cache called "best"; there are full, compressed/],
      [{ tasks: 'predictions,taste' }, 2, /no task "taste"; there are predictions, /],
      [{ contexts: '1024,many' }, 2, /--contexts must be whole numbers of at least 1024/],
      [{ chunks: '0' }, 2, /--chunks must be a whole number of at least 1, not "0"/],
      [{ corpus: join(folder, 'none') }, 5, /there is no file or folder .*none/],
      [{ corpus: folder }, 5, /there is no source file in /],
      [{ contexts: '99999' }, 4, /\[BAD_ARGUMENT\]/],
      [{ corpus: small }, 4, /The corpus has \d+ tokens, and a context of 1 024 was asked for/],
      [{ out: join(small, 'x') }, 7, /Name another folder with --out/],
    ];
    const empty = await mkdtemp(join(tmpdir(), 'sightline-'));
    for (const [options, expected, pattern] of cases) {
      const of = options['corpus'] === folder ? { corpus: empty } : options;
      const { code, stderr, stdout } = await evaluate({ out: join(folder, 'wrong'), ...of });
      assert.equal(code, expected, `${JSON.stringify(options)}: ${stderr}`);
      assert.match(stderr, pattern);
      assert.equal(stdout, '');
    }
    await rm(empty, { recursive: true });
  });
});
