import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { FitReport } from '../../sidecar/cli/fitReport.ts';
import { encode, ggufPieces, readGguf } from '../fixtures/models/gguf.ts';
import { fakeHub } from '../unit/support/fakeHub.ts';
import { folderWith } from '../unit/support/folder.ts';
import { bundledModel, runCommand, type Run } from './support.ts';

const valid = readFileSync(bundledModel);

describe('sightline fit', () => {
  const hub = fakeHub();
  const repository = 'some/Model-GGUF';
  const run = (...args: string[]): Promise<Run> => fit(args);
  const fit = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> =>
    runCommand(['fit', ...args], undefined, {
      HF_ENDPOINT: hub.endpoint,
      HF_TOKEN: '',
      HF_HUB_OFFLINE: '',
      ...env,
    });
  const report = async (...args: string[]): Promise<FitReport> => {
    const { code, stdout, stderr } = await run(...args, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as FitReport;
  };

  beforeEach(() => {
    hub.reset();
    hub.repositories.set(repository, {
      files: { 'm-Q8_0.gguf': valid, 'm-Q4_K_M.gguf': valid.subarray(0, 4_000_000) },
    });
  });

  it('tells of the bundled model on this machine', async () => {
    const { code, stdout, stderr } = await run();
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^model {4}sightline-tiny-code \(qwen2\), 4 layers with 2 KV heads of 64/);
    assert.match(stdout, /^full +16\.00 MiB +1\.00x +yes /m);
    assert.match(stdout, /^selective int8 +8\.64 MiB +1\.85x +yes .* 99\.3 % /m);
    assert.match(stdout, /^take {5}full\nwhy {6}it fits/m);
    assert.deepEqual(hub.seen, []);
  });

  it('goes by the memory and the context that it is given', async () => {
    const args = ['--memory', '300MiB', '--context', '32768'];
    const { place, warnings, candidates } = await report(...args);
    assert.deepEqual(place, { device: 'cpu', bytes: 300 * 2 ** 20 });
    assert.match(warnings.join(), /trained for 8 192 tokens, and loads with no more/);
    const [only, ...others] = candidates;
    assert.equal(others.length, 0);
    assert.equal(only?.recommendation.cache, 'selective int4');
    assert.equal(only.caches.length, 9);
    const onGpu = await report(...args, '--device', 'cuda');
    assert.equal(onGpu.place.device, 'gpu');
    assert.equal(onGpu.candidates[0]?.recommendation.cache, 'full');
  });

  it('is about one cache where one is given', async () => {
    const named = async (...args: string[]): Promise<string[]> => {
      const [only] = (await report('--memory', '1GB', ...args)).candidates;
      assert.equal(only?.recommendation.cache, 'full');
      return only.caches.map(({ name }) => name);
    };
    assert.deepEqual(await named('--cache', 'h2o', '--keep', '0.3'), ['h2o int8, 30 %']);
    assert.deepEqual(await named('--tier', 'fp8'), ['selective fp8']);
  });

  it('tells of a repository, a row for every quantisation', async () => {
    const { code, stdout, stderr } = await run('--model', `hf:${repository}`, '--memory', '1GB');
    assert.equal(code, 0, stderr);
    assert.match(stderr, /asking http:.* about some\/Model-GGUF$/m);
    assert.match(stdout, /^Q4_K_M +3\.81 MiB .* full$/m);
    assert.match(stdout, /^Q8_0 +3\.99 MiB .* full$/m);
    assert.deepEqual(hub.ranges(), ['bytes=0-1999999']);
    const one = await report('--model', `hf:${repository}:q8_0`);
    assert.deepEqual(
      one.candidates.map(({ file }) => file),
      ['m-Q8_0.gguf'],
    );
  });

  it('counts on no bits where layers have windows of their own', async () => {
    const { metadata, tensors } = readGguf(valid);
    const window = ['qwen2.attention.sliding_window', encode.uint32(1024)] as const;
    const sliding = { metadata: new Map([...metadata, window]), tensors };
    const folder = folderWith({ 'sliding.gguf': Buffer.concat([...ggufPieces(sliding)]) });
    const { code, stdout, stderr } = await run('--model', join(folder, 'sliding.gguf'));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /some layers have windows of their own/);
    assert.match(
      stdout,
      /^cache .*\nfull +<= 16\.00 MiB .* reference\n\ntake {5}full\nwhy .*windows/m,
    );
  });

  it('ends with what went wrong', async () => {
    const folder = folderWith({
      'text.gguf': 'no model',
      'cut.gguf': valid.subarray(0, 9000),
      'half-00001-of-00002.gguf': valid,
    });
    hub.repositories.set('a/secret', { files: { 'm.gguf': valid }, token: 'good' });
    const model = (name: string): string[] => ['--model', name];
    const cases: readonly (readonly [string[], number, RegExp, NodeJS.ProcessEnv?])[] = [
      [['--memory', '12'], 2, /--memory must be a size such as 12GB or 900MiB, not "12"/],
      [['--context', '-1'], 2, /--context must be a whole number/],
      [['--cache', 'best'], 2, /--cache must be one of/],
      [['--threads', '1'], 2, /unknown option '--threads'/],
      [model(join(folder, 'none.gguf')), 4, /none\.gguf cannot be read: .*\[MODEL_NOT_FOUND\]/],
      [model(join(folder, 'text.gguf')), 4, /no whole GGUF model: .*\[MODEL_INVALID\]/],
      [model(join(folder, 'cut.gguf')), 4, /no whole GGUF model: .*\[MODEL_INVALID\]/],
      [model(join(folder, 'half-00001-of-00002.gguf')), 4, /Parts of half.*\[MODEL_INVALID\]/],
      [model('hf:nonsense'), 2, /"nonsense" is no repository/],
      [model(`hf:${repository}:Q2_K`), 4, /has no "Q2_K"\. It has: Q4_K_M, Q8_0\./],
      [model('hf:nobody/nothing'), 6, /\[ACCESS_DENIED\][^]*a token is taken from HF_TOKEN/],
      [model('hf:a/secret'), 6, /\[ACCESS_DENIED\]/, { HF_TOKEN: 'bad' }],
      [model('hf:nobody/nothing'), 6, /it has no .*\[DOWNLOAD_FAILED\]/, { HF_TOKEN: 'good' }],
      [model(`hf:${repository}`), 6, /\[OFFLINE\]/, { HF_HUB_OFFLINE: '1' }],
    ];
    for (const [args, expected, pattern, env] of cases) {
      const { code, stderr, stdout } = await fit(args, env);
      assert.equal(code, expected, `${args.join(' ')}: ${stderr}`);
      assert.match(stderr, pattern);
      assert.equal(stdout, '');
    }
    const allowed = await fit(model('hf:a/secret'), { HF_TOKEN: 'good' });
    assert.equal(allowed.code, 0, allowed.stderr);
  });

  it('shows examples in its help', async () => {
    const { stdout } = await run('--help');
    assert.match(stdout, /--memory <size>/);
    assert.match(stdout, /sightline fit --model hf:\S+-GGUF --memory 16GB$/m);
  });
});
