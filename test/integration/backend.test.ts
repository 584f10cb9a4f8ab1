/** The backend library in a llama.cpp program that knows nothing of it: see program.ts. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { backendName } from '../../scripts/lib/native-files.mjs';
import { bundledModelInF32 } from '../fixtures/models/generate.ts';
import type { Report, Scenario } from './program.ts';
import { root } from './support.ts';

const library = join(root, 'dist/native', backendName(`${process.platform}-${process.arch}`));
for (const [path, command] of [
  [library, 'npm run build'],
  [join(root, 'scripts/node-llama-cpp/node_modules'), 'npm test -- integration'],
] as const) {
  if (!existsSync(path)) throw new Error(`${path} is missing; run "${command}" first`);
}

/** 1700 tokens of it are read. */
const source = join(root, 'node_modules/vscode-jsonrpc/lib/common/connection.js');

/** Runs the program with these variables and no others of ours. */
async function runProgram(
  environment: Readonly<Record<string, string>>,
  scenarios: readonly Scenario[],
): Promise<Report> {
  const inherited = Object.entries(process.env).filter(
    ([name]) => name !== 'GGML_BACKEND_PATH' && !name.startsWith('SIGHTLINE_'),
  );
  const program = join(import.meta.dirname, 'program.ts');
  const args = ['--import', 'tsx', program, bundledModelInF32(), source, ...scenarios];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = await new Promise((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? signal);
    });
  });
  assert.equal(ended, 0, stderr);
  return JSON.parse(stdout) as Report;
}

const ours = (report: Report): string[] =>
  report.log.filter((line) => line.startsWith('sightline: ')).map((line) => line.trim());

const everything = [
  ...(['complete', 'inSmallSteps', 'tops', 'rollback', 'shift', 'restore', 'twoContexts'] as const),
  ...(['twoSequences', 'withoutFlashAttention', 'quantisedByLlama'] as const),
];

describe('the backend library', () => {
  let plain: Report;
  let full: Report;
  let selective: Report;
  before(async () => {
    plain = await runProgram({}, everything);
    const path = { GGML_BACKEND_PATH: library };
    full = await runProgram({ ...path, SIGHTLINE_CACHE: 'full' }, everything);
    selective = await runProgram({ ...path, SIGHTLINE_WINDOW: '128' }, everything);
  });

  it('is one more device of the program, and has its KV cache', () => {
    assert.deepEqual(plain.devices, []);
    assert.deepEqual(ours(plain), []);
    assert.equal(full.devices.length, 1);
    assert.match(full.devices[0] ?? '', /^Sightline on /);
    assert.match(ours(full)[0] ?? '', /^sightline: full cache, kernels \w+$/);
    assert.match(
      ours(selective)[0] ?? '',
      /^sightline: selective cache in int8, sink 16, window 128, kernels \w+$/,
    );
    for (const { log } of [full, selective])
      assert.ok(log.some((line) => /sightline KV buffer size = +[1-9]/.test(line)));
  });

  it('tells what a cache held when its context goes', (test) => {
    const freed =
      /freed; it held (\d+) tokens \(sink (\d+), (?:int8 (\d+), )?window (\d+)\) in ([\d.]+) MiB, as FP16 ([\d.]+) MiB/;
    const first = ({ log }: Report): number[] =>
      (log.map((line) => freed.exec(line)).find((match) => match !== null) ?? [])
        .slice(1)
        .map((text: string | undefined) => Number(text ?? 0));
    const [tokens = 0, sink, int8, window, bytes = 0, fp16 = 0] = first(selective);
    test.diagnostic(`${tokens} tokens in ${bytes} MiB, as FP16 ${fp16} MiB`);
    assert.deepEqual([tokens, sink, int8], [1739, 16, 1536]);
    assert.equal(window, tokens - 16 - 1536);
    assert.ok(bytes < 0.65 * fp16);
    assert.deepEqual(first(full).slice(0, 4), [1739, 0, 0, 1739]);
  });

  for (const scenario of everything.filter((name) => name !== 'tops'))
    it(`with policy full changes nothing of what is written: ${scenario}`, () => {
      assert.ok(plain.results[scenario]?.every((text) => String(text).length > 20));
      assert.deepEqual(full.results[scenario], plain.results[scenario]);
    });

  it('predicts the same, with policy selective on a long prompt but for ties', (test) => {
    const same = (report: Report): number => {
      const expected = plain.results.tops ?? [];
      assert.equal(expected.length, 500);
      assert.ok(new Set(expected).size > 100);
      return expected.filter((token, i) => token === report.results.tops?.[i]).length / 500;
    };
    test.diagnostic(`same top: full ${same(full)}, selective ${same(selective)}`);
    assert.equal(same(full), 1);
    assert.ok(same(selective) >= 0.98);
    const text = (report: Report): string => String(report.results.complete?.[0]).slice(0, 40);
    assert.equal(text(selective), text(plain));
  });

  it('gives the cache up where llama.cpp does what it cannot, and only there', () => {
    for (const report of [full, selective]) {
      const given = ours(report).filter((line) => line.includes('is FP16 from here on'));
      assert.equal(given.length, 2, given.join('\n'));
      assert.match(given[0] ?? '', /ROPE of its tensors$/); // shift
      assert.match(given[1] ?? '', /MUL_MAT of its tensors$/); // withoutFlashAttention
    }
  });

  for (const [environment, tiers] of [
    [{ SIGHTLINE_TIER: 'int4', SIGHTLINE_WINDOW: '128' }, /sink 16, int4 1536, window/],
    [
      { SIGHTLINE_CACHE: 'hierarchical', SIGHTLINE_WINDOW: '128', SIGHTLINE_SPAN: '512' },
      /sink 16, int4 1152, int8 384, window/,
    ],
    [{ SIGHTLINE_CACHE: 'compressed', SIGHTLINE_WINDOW: '1024' }, /sink 16, window/],
    [
      { SIGHTLINE_CACHE: 'auto', SIGHTLINE_WINDOW: '128', SIGHTLINE_BUDGET_MIB: '3' },
      /sink 16, (int4|k8v4|int8) \d+/,
    ],
  ] as const)
    it(`runs with ${Object.values(environment).join(' ')}`, async () => {
      const path = { GGML_BACKEND_PATH: library };
      const report = await runProgram({ ...path, ...environment }, ['inSmallSteps']);
      const lines = ours(report);
      assert.equal(lines.length, 2, lines.join('\n'));
      assert.match(lines[1] ?? '', tiers);
      assert.match(String(report.results.inSmallSteps?.[0]), /\w+[^]{40}/);
    });

  it('fails what is beyond its bound, and the program goes on', async () => {
    const bounded = { GGML_BACKEND_PATH: library, SIGHTLINE_BUDGET_MIB: '1' };
    const all = await runProgram({ GGML_BACKEND_PATH: library }, ['tooLong']);
    const some = await runProgram(bounded, ['tooLong']);
    const [outcome, at, text] = some.results.tooLong ?? [];
    assert.equal(all.results.tooLong?.[0], 'evaluated');
    assert.match(String(outcome), /failed/);
    assert.ok(Number(at) < 1700);
    assert.ok(ours(some).some((line) => line.includes('no room for more tokens in the cache')));
    assert.equal(text, all.results.tooLong[2]);
  });

  for (const [name, value, right] of [
    ['SIGHTLINE_CACHE', 'h2o', 'full, selective, hierarchical, compressed or auto'],
    ['SIGHTLINE_TIER', 'int3', 'fp16, fp8, int8, k8v4, int4 or k4v2'],
    ['SIGHTLINE_SINK', '4k', 'a whole number from 0 to 65536'],
    ['SIGHTLINE_BUDGET_MIB', '', 'a whole number from 1 to 1048576'],
  ] as const)
    it(`stays out of a program with ${name}="${value}"`, async () => {
      const report = await runProgram({ GGML_BACKEND_PATH: library, [name]: value }, ['complete']);
      const line = `sightline: ${name} is "${value}" but must be ${right}. Running without Sightline.`;
      assert.deepEqual(ours(report), [line]);
      assert.deepEqual(report.devices, []);
      assert.deepEqual(report.results.complete, plain.results.complete);
    });

  it('stays out of a program with another release of llama.cpp', async () => {
    const bytes = await readFile(library);
    const [release = ''] = /\d+\.\d+\.\d+ \([0-9a-f]{7,}\)/.exec(bytes.toString('latin1')) ?? [];
    const at = bytes.indexOf(release);
    assert.ok(release !== '' && bytes.indexOf(release, at + 1) < 0, 'the release is in it, once');
    const other = `9${release.slice(1)}`;
    bytes.write(other, at, 'latin1');
    const folder = await mkdtemp(join(tmpdir(), 'sightline-'));
    try {
      const path = join(folder, 'libggml-sightline.so');
      await writeFile(path, bytes);
      const report = await runProgram({ GGML_BACKEND_PATH: path }, ['complete']);
      assert.equal(ours(report).length, 1);
      const expected = `with ggml ${other}, but this program runs ggml ${release}. Running without Sightline.`;
      assert.ok(ours(report)[0]?.endsWith(expected), ours(report)[0]);
      assert.deepEqual(report.devices, []);
      assert.deepEqual(report.results.complete, plain.results.complete);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
