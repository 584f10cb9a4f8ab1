import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ProfileReport } from '../../sidecar/profile/report.ts';
import { assertNested, countersOf, parseTrace, spansOf } from '../unit/support/trace.ts';
import { runCommand, source, type Run } from './support.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sightline-'));
});
after(() => rm(folder, { recursive: true }));

const profile = (...options: string[]): Promise<Run> =>
  runCommand(['profile', '--threads', '1', '--out', folder, ...options]);

const name = 'profile-sightline-tiny-code-q8_0-selective';
const reportIn = async (out: string): Promise<ProfileReport> =>
  JSON.parse(await readFile(join(out, `${name}.json`), 'utf8')) as ProfileReport;

describe('sightline profile', () => {
  it('says what the operations of prefill and decode take, as tables, JSON and a trace', async () => {
    const { code, stdout, stderr } = await profile('--tokens', '600', '--max-new-tokens', '9');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^prefill {2}2 steps, 600 tokens$/m);
    assert.match(stdout, /^decode {2}\d steps, \d tokens$/m);
    assert.match(stdout, /^ +ATTEND attention +\w+ fp16\+int8 +\d+ /m);
    assert.match(stdout, /^ +MUL_MAT ffn_down +\d+ +[\d.]+ +[\d.]+ % /m);
    assert.match(stdout, /^ +the same steps without a profile: [\d.]+ ms; /m);
    assert.match(stdout, /^cache growth$/m);
    assert.match(stderr, /^sightline: wrote .*selective\.trace\.json$/m);

    const report = await reportIn(folder);
    assert.equal(report.promptTokens, 600);
    assert.equal(report.isWhole, true);
    const { layers } = report.model;
    const [prefill, decode] = report.phases;
    assert.ok(prefill !== undefined && decode !== undefined);
    // The last token that is written is not evaluated.
    assert.equal(decode.steps, report.generatedTokens - 1);
    for (const { rows, steps, operationSeconds, unprofiled } of [prefill, decode]) {
      assert.equal(unprofiled?.steps, steps);
      assert.ok(unprofiled.seconds > 0 && unprofiled.ratio > 0);
      assert.ok(rows.every((row) => row.seconds >= 0 && row.calls > 0 && row.bytes > 0));
      const seconds = rows.reduce((sum, row) => sum + row.seconds, 0);
      assert.ok(operationSeconds > 0 && Math.abs(seconds - operationSeconds) < 1e-9);
      const callsOf = (wanted: string): number =>
        rows.reduce((sum, row) => sum + (row.operation === wanted ? row.calls : 0), 0);
      for (const each of ['MUL_MAT attn_q', 'ATTEND attention', 'APPEND cache_v'])
        assert.equal(callsOf(each), steps * layers);
      assert.equal(callsOf('GET_ROWS token_embd'), steps);
    }
    assert.ok(prefill.rows.some((row) => row.kernel.endsWith('fp16>int8')));
    const attention = decode.rows.find((row) => row.operation === 'ATTEND attention');
    assert.ok((attention?.cacheBytes['int8'] ?? 0) > 0);
    assert.deepEqual(
      report.growth.map(({ tokens }) => tokens),
      [512, ...Array.from({ length: decode.steps + 1 }, (_, index) => 600 + index)],
    );
    for (const { bytes, fp16Bytes, tiers } of report.growth) {
      assert.equal(
        bytes,
        Object.values(tiers).reduce((sum, held) => sum + held, 0),
      );
      assert.ok(fp16Bytes > 0);
    }

    const trace = parseTrace(await readFile(join(folder, `${name}.trace.json`), 'utf8'));
    assertNested(trace);
    const spans = spansOf(trace);
    assert.equal(spans.filter(({ cat }) => cat === 'step').length, report.growth.length);
    assert.equal(
      spans.filter(({ cat }) => cat === 'layer').length,
      report.growth.length * layers,
      'a layer is one span in each step',
    );
    assert.equal(
      spans.filter(({ cat }) => cat === 'operation').length,
      [prefill, decode].flatMap(({ rows }) => rows).reduce((sum, { calls }) => sum + calls, 0),
    );
    assert.equal(countersOf(trace).length, 2 * report.growth.length);
    assert.deepEqual(
      (await readdir(folder)).filter((file) => file.startsWith('.')),
      [],
    );
  });

  it('takes a file as its prompt, other caches, and prints what programs read', async () => {
    const file = join(folder, 'prompt.ts');
    await writeFile(file, source(12));
    const options = ['--prompt', `@${file}`, '--cache', 'full', '--max-new-tokens', '2', '--json'];
    const { code, stdout, stderr } = await profile(...options);
    assert.equal(code, 0, stderr);
    const report = JSON.parse(stdout) as ProfileReport;
    assert.deepEqual(report.cache, { policy: 'full' });
    assert.ok(report.promptTokens > 100);
    const kernels = report.phases.flatMap(({ rows }) => rows.map(({ kernel }) => kernel));
    assert.ok(kernels.some((kernel) => /^\w+ fp16$/.test(kernel)));
    assert.ok(!kernels.some((kernel) => kernel.includes('>')));
    const written = join(folder, 'profile-sightline-tiny-code-q8_0-full.json');
    assert.equal(await readFile(written, 'utf8'), stdout);
  });

  it('keeps what was measured when it is interrupted', async () => {
    const out = join(folder, 'interrupted');
    let seen = '';
    const { code, stdout, stderr } = await runCommand(
      ['profile', '--threads', '1', '--out', out, '--tokens', '8000'],
      (child) => {
        const interrupt = (chunk: Buffer): void => {
          seen += chunk.toString();
          if (!/^sightline: prefill 512 of/m.test(seen)) return;
          child.stderr.off('data', interrupt);
          child.kill('SIGINT');
        };
        child.stderr.on('data', interrupt);
      },
    );
    assert.equal(code, 130, stderr);
    assert.match(stderr, /^sightline: interrupted$/m);
    assert.match(stderr, /^sightline: wrote .*\.trace\.json$/m);
    assert.match(stdout, /^ +all operations /m);
    const report = await reportIn(out);
    assert.ok(report.growth.length >= 1);
    assert.equal(report.growth[0]?.tokens, 512);
    assertNested(parseTrace(await readFile(join(out, `${name}.trace.json`), 'utf8')));
  });

  it('ends with what went wrong', async () => {
    const file = join(folder, 'no folder');
    await writeFile(file, '');
    const cases: readonly (readonly [string[], number, RegExp])[] = [
      [['--tokens', '0'], 2, /--tokens must be a whole number of at least 1, not "0"/],
      [['--prompt', ''], 2, /--prompt must be a text/],
      [['--prompt', `@${join(folder, 'none')}`], 5, /none/],
      [['--tokens', '9', '--context', '8'], 4, /\[CONTEXT_FULL\]/],
      [
        ['--tokens', '8', '--max-new-tokens', '1', '--out', file],
        7,
        /\. Name another folder with --out$/m,
      ],
    ];
    for (const [args, expected, pattern] of cases) {
      const { code, stdout, stderr } = await profile(...args);
      assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, pattern);
      // What was measured is told even where it cannot be kept.
      assert.equal(stdout !== '', expected === 7);
    }
  });

  it('profiles what `generate` writes, which is the same text', async () => {
    const out = join(folder, 'generated');
    const options = ['--prompt', 'def fibonacci(n):', '--max-new-tokens', '8', '--threads', '1'];
    const plain = await runCommand(['generate', ...options]);
    const profiled = await runCommand(['generate', ...options, '--profile', '--out', out]);
    assert.equal(profiled.code, 0, profiled.stderr);
    assert.equal(profiled.stdout, plain.stdout);
    assert.match(profiled.stderr, /^Operations ran one by one/m);
    assert.match(profiled.stderr, /^ +ATTEND attention /m);
    assertNested(parseTrace(await readFile(join(out, `${name}.trace.json`), 'utf8')));
    const report = await reportIn(out);
    assert.deepEqual(
      report.phases.map(({ phase }) => phase),
      ['prefill', 'decode'],
    );

    const json = await runCommand(['generate', ...options, '--profile', '--out', out, '--json']);
    const { profile: printed } = JSON.parse(json.stdout) as { readonly profile: ProfileReport };
    assert.deepEqual(printed, await reportIn(out));

    const file = join(folder, 'a file');
    await writeFile(file, '');
    const refused = await runCommand(['generate', ...options, '--profile', '--out', file]);
    assert.equal(refused.code, 7, refused.stderr);
    assert.equal(refused.stdout, plain.stdout);
  });
});
