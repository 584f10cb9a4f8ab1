import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Generated } from '../../sidecar/cli/generate.ts';
import type { Report } from '../../sidecar/cli/report.ts';
import { cacheHome, runCommand, source, type Run } from './support.ts';

const oneThread = ['--threads', '1', '--max-new-tokens', '24'];
let folder = '';
let file = '';
let lines = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sightline-'));
  file = join(folder, 'app.ts');
  const text = `${source(100)}\nexport function add100(value: number): number {\n  return `;
  lines = text.split('\n').length;
  await writeFile(file, text);
});
after(() => rm(folder, { recursive: true }));

const complete = (place: string, ...options: string[]): Promise<Run> =>
  runCommand(['complete', place, ...oneThread, ...options]);

const report = async (place: string, ...options: string[]): Promise<Report> => {
  const { code, stdout, stderr } = await complete(place, '--json', ...options);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Report;
};

describe('the command line', () => {
  it('prints the completion, tokens, timings and a memory table', async () => {
    const { code, stdout, stderr } = await complete(`${file}:${lines}`);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^.*\S/);
    assert.match(stdout, /^tokens +file [\d ]+, in sight [\d ]+ \(/m);
    assert.match(stdout, /^time +load [\d.]+ s, prefill [\d.]+ s \(\d+ tokens\/s\), decode/m);
    assert.match(stdout, /^ +int8 +[\d ]+ +[\d.]+ [KM]iB$/m);
    assert.match(stdout, /^ +as FP16 +[\d ]+ +[\d.]+ [KM]iB$/m);
    assert.match(stderr, /^sightline: loading .*\.gguf$/m);
  });

  it('is deterministic, and the report adds up', async () => {
    const first = await report(`${file}:${lines}`);
    const second = await report(`${file}:${lines}`);
    assert.equal(first.generated, second.generated);
    const { tokens, memory } = first;
    assert.equal(tokens.file, tokens.inSight + tokens.omittedBefore + tokens.omittedAfter);
    assert.equal(tokens.inSight, tokens.prefix + tokens.suffix);
    assert.equal(
      memory.bytes,
      memory.tiers.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    assert.ok(memory.ratio > 1.5, String(memory.ratio));
  });

  it('takes a column, and options for the cache and the context', async () => {
    const atColumn = await report(`${file}:3:3`);
    assert.ok(atColumn.tokens.prefix < 40 && atColumn.tokens.suffix > 1000);
    const full = await report(`${file}:${lines}`, '--cache', 'full', '--context', '1024');
    assert.equal(full.memory.policy, 'full');
    assert.equal(full.model.contextTokens, 1024);
    assert.ok(full.tokens.omittedBefore > 0);
    assert.ok(full.memory.tokens <= 1024);
  });

  it('checks a cache once, and relies on what it found', async () => {
    const checked = async (): Promise<Report['memory']['check']> =>
      (await report(`${file}:${lines}`, '--tier', 'int4')).memory.check;
    const found = await checked();
    assert.ok(found?.asked === 'int4' && found.divergence <= found.bound);
    const kept = join(cacheHome, 'sightline', 'self-checks.json');
    const text = await readFile(kept, 'utf8');
    await writeFile(kept, text.replaceAll(`${found.divergence}`, '0.0123'));
    assert.deepEqual(await checked(), { ...found, divergence: 0.0123 });
    await writeFile(kept, text.slice(0, -9));
    assert.deepEqual(await checked(), found);
  });

  it('ends with what went wrong', async () => {
    const cases: readonly (readonly [string[], number, RegExp])[] = [
      [['complete'], 2, /missing required argument 'file:line/],
      [['complete', `${file}:99999`], 2, /has \d+ lines; there is no line 99999/],
      [['complete', `${file}:1:999`], 2, /line 1 of .* ends at column \d+/],
      [['complete', 'a.ts:0'], 2, /a\.ts:0 is not FILE:LINE .* counts from 1/],
      [['complete', `${file}:1`, 'b.ts:2'], 2, /too many arguments/],
      [['complete', `${file}:1`, '--threads', 'x'], 2, /--threads must be/],
      [['generate'], 2, /--prompt <text>' not specified/],
      [['generate', '--prompt', 'a', '--top-p', '2'], 2, /--top-p must be a number from 0 to 1/],
      [['generate', '--prompt', 'a', '--seed', '-1'], 2, /--seed must be a whole number/],
      [['generate', '--prompt', `@${join(folder, 'none')}`], 5, /none/],
      [['generate', '--prompt', 'a', '--cache', 'best'], 2, /--cache must be one of .*"lowrank"/],
      [['complete', join(folder, 'none.ts:1')], 5, /none\.ts/],
      [['complete', folder + ':1'], 5, /EISDIR/],
      [['complete', `${file}:1`, '--model', file], 4, /\[MODEL_INVALID\]/],
      [['complete', `${file}:1`, '--context', '99999'], 4, /\[BAD_ARGUMENT\]/],
      [['nonsense'], 2, /unknown command 'nonsense'/],
      [[], 2, /^Usage: sightline/],
    ];
    for (const [args, expected, pattern] of cases) {
      const { code, stderr, stdout } = await runCommand(args);
      assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, pattern);
      assert.equal(stdout, '');
    }
  });

  it('generates: the text on stdout, the figures on stderr', async () => {
    const generate = (...options: string[]): Promise<Run> =>
      runCommand(['generate', '--prompt', `@${file}`, '--threads', '1', ...options]);
    const greedy = await generate('--max-new-tokens', '12');
    assert.equal(greedy.code, 0, greedy.stderr);
    assert.match(greedy.stderr, /^time +first token [\d.]+ s, prefill/m);
    assert.match(greedy.stderr, /^ +int8 +[\d ]+ +[\d.]+ [KM]iB$/m);
    const json = await generate('--max-new-tokens', '12', '--json');
    const { text, generatedTokens, promptTokens, memory } = JSON.parse(json.stdout) as Generated;
    assert.equal(greedy.stdout, `${text}\n`);
    assert.ok(generatedTokens <= 12 && memory.tokens >= promptTokens);

    const sampled = ['--max-new-tokens', '12', '--temperature', '2', '--seed'];
    const [one, again, other] = [
      await generate(...sampled, '7'),
      await generate(...sampled, '7'),
      await generate(...sampled, '8'),
    ];
    assert.equal(one.stdout, again.stdout);
    assert.notEqual(one.stdout, other.stdout);
  });

  it('takes files that are empty, binary, or not UTF-8', async () => {
    const write = async (name: string, content: Buffer): Promise<string> => {
      await writeFile(join(folder, name), content);
      return `${join(folder, name)}:1`;
    };
    assert.equal((await report(await write('empty.ts', Buffer.alloc(0)))).tokens.file, 0);
    const latin1 = await complete(await write('latin1.ts', Buffer.from([0x61, 0xe9, 0x62])));
    assert.equal(latin1.code, 0);
    assert.match(latin1.stderr, /latin1\.ts is not valid UTF-8/);
    const binary = await complete(await write('binary', Buffer.from([1, 0, 2])));
    assert.equal(binary.code, 4);
    assert.match(binary.stderr, /\[DOCUMENT_BINARY\]/);
  });

  const skip = process.platform === 'win32' && 'a process of Windows gets no signal from another';
  it('can be interrupted', { skip }, async () => {
    const long = join(folder, 'long.ts');
    await writeFile(long, source(350));
    const { code, stderr } = await runCommand(
      ['complete', `${long}:1000`, '--threads', '1', '--max-new-tokens', '1024'],
      (child) => child.kill('SIGINT'),
    );
    assert.equal(code, 130, stderr);
    assert.match(stderr, /interrupted$/m);
  });

  it('shows its version and its help', async () => {
    assert.match((await runCommand(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/);
    assert.match((await runCommand(['--help'])).stdout, /^Usage:/);
    assert.match((await runCommand(['complete', '--help'])).stdout, /--max-new-tokens <count>/);
  });
});
