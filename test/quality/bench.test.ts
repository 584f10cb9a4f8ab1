/** The native part of the benchmarks: that it builds, answers, and says what is wrong. */
import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Row } from '../../bench/harness.ts';
import { loadContender } from '../../bench/contender.ts';
import { stock } from '../../bench/engine.ts';
import { countCudaBytes, readBandwidth } from '../../bench/native.ts';
import { bundledModel } from '../fixtures/models/generate.ts';

const options = { modelPath: bundledModel, threads: 1, contextTokens: 2304 };

describe('stock llama.cpp in a process of its own', () => {
  for (const name of stock.keys())
    it(`goes to a depth, on and back, ${name}`, async () => {
      const contender = await loadContender(name, options);
      try {
        for (const depth of [0, 300, 512, 2048, 2048, 512]) {
          await contender.goTo(depth);
          await contender.evaluate(200);
          await contender.evaluate(1);
        }
        // The copies take as much room as the tokens they stand for.
        await contender.goTo(2048);
        await contender.evaluate(256);
        await assert.rejects(contender.evaluate(1), /stock ended at "evaluate 1"/);
      } finally {
        await contender.close();
      }
    });

  it('ends where it is asked for what it cannot do', async () => {
    const name = 'llama.cpp f16 fa=on';
    for (const [wrong, command] of [
      [{ ...options, modelPath: 'no such file' }, 0],
      [options, 700],
    ] as const) {
      const contender = await loadContender(name, wrong);
      await assert.rejects(contender.goTo(command), /stock ended at "go/);
      await contender.close();
    }
    await assert.rejects(loadContender('no such cache', options), /no such cache/);
  });
});

describe('read bandwidth', () => {
  it('is what the program reports', async () => {
    assert.ok((await readBandwidth(2)) > 0);
    await assert.rejects(readBandwidth(0), /--threads takes a count/);
  });
});

describe(
  "the bytes of CUDA's decode",
  { skip: process.platform === 'win32' && 'no emulator' },
  () => {
    const settings = { 'head-dim': 128, group: 4, depth: 4096, sink: 16, window: 256, splits: 4 };

    it('grow with the tier and stay near what it needs', async () => {
      const read: number[] = [];
      for (const tier of ['int4', 'k8v4', 'int8', 'fp16']) {
        const counted = await countCudaBytes({ ...settings, tier });
        assert.ok(counted.read >= counted.needed && counted.read < 1.05 * counted.needed, tier);
        assert.ok(counted.written < 0.05 * counted.needed, tier);
        read.push(counted.read);
      }
      assert.deepEqual(
        read.toSorted((a, b) => a - b),
        read,
      );
    });

    it('are told only of what there is', async () => {
      await assert.rejects(countCudaBytes({ ...settings, tier: 'int3' }), /no such tier/);
      await assert.rejects(
        countCudaBytes({ ...settings, tier: 'int8', group: 9 }),
        /--group or --splits is too large/,
      );
    });
  },
);

/** The rows of a benchmark, by case. */
async function run(program: string, ...options: string[]): Promise<ReadonlyMap<string, Row>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'sightline-bench-'));
  try {
    const json = path.join(folder, 'rows.json');
    const file = path.resolve(import.meta.dirname, '../../bench', program);
    const args = ['--import', 'tsx', file, '--quick', '--json', json, ...options];
    await promisify(execFile)(process.execPath, args);
    const report = JSON.parse(await readFile(json, 'utf8')) as { readonly rows: readonly Row[] };
    return new Map(report.rows.map((row) => [row.case, row]));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('what is typed and completed', () => {
  it('evaluates what a keystroke adds, in bench:typing', async () => {
    const rows = await run('typing.ts', '--cases', 'bundled');
    const value = (what: string): number => rows.get(`typing/bundled-8k/${what}`)?.value ?? NaN;
    assert.ok(value('prefilled/p50') <= 2, String(value('prefilled/p50')));
    assert.ok(value('cached') >= 95, String(value('cached')));
    assert.ok(value('in-sight') > 4000, String(value('in-sight')));
    assert.ok(value('type-through') > 0 && value('wasted') >= 0);
  });

  it('loses nothing to int8 that a long file in sight gives, in eval:completion', async () => {
    const rows = await run('completion.ts');
    const loss = (what: string): number => rows.get(`completion/all/${what}/loss`)?.value ?? NaN;
    for (const name of ['1k', 'file/full', 'file/int8', 'file/int4', 'files/int8'])
      assert.ok(loss(name) > 0 && loss(name) < 5, `${name}: ${loss(name)}`);
    assert.ok(Math.abs(loss('file/int8 less file/full')) < 0.02);
  });

  it('has the same tokens with drafts, in bench:lookup', async () => {
    const rows = await run('lookup.ts');
    for (const kind of ['line', 'block', 'function', 'tests', 'declarations', 'rename', 'hot']) {
      const value = (what: string): number => rows.get(`lookup/${kind}/${what}`)?.value ?? NaN;
      assert.equal(value('same'), 100, kind);
      assert.ok(value('decode') > 0 && value('drafted') >= 0 && value('accepted') >= 0, kind);
    }
    assert.ok((rows.get('lookup/tests/accepted')?.value ?? 0) > 0);
  });
});
