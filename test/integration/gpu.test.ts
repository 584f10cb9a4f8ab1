/** Looking for a GPU, on a machine with a stand-in for NVIDIA's driver: what is missing is named. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { findNvcc } from '../../scripts/cuda.mjs';
import { cacheHome, root, runCommand, type Run } from './support.ts';

const skip =
  process.platform !== 'linux' || process.arch !== 'x64'
    ? 'the stand-in is for Linux on x64'
    : findNvcc() === undefined && 'the addon was built without CUDA kernels: there is no nvcc here';

const folder = mkdtempSync(join(tmpdir(), 'sightline-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const complete = (use: string, env: NodeJS.ProcessEnv): Promise<Run> =>
  runCommand(
    [
      'complete',
      `${join(root, 'esbuild.mjs')}:3`,
      '--threads',
      '1',
      '--max-new-tokens',
      '2',
      '--device',
      use,
    ],
    undefined,
    { ...env, HOME: folder, CUDA_PATH: '', CUDA_HOME: '', VIRTUAL_ENV: '' },
  );

describe('looking for a GPU', { skip }, () => {
  const driver = join(folder, 'libcuda.so.1');
  const stubbed = (stub: NodeJS.ProcessEnv = {}) => ({ ...stub, LD_LIBRARY_PATH: folder });
  const backend = join(
    cacheHome,
    'sightline/gpu/linux-x64-cuda-3.22.1/bins/linux-x64-cuda/libggml-cuda.so',
  );
  const refused = async (env: NodeJS.ProcessEnv): Promise<string> => {
    const { code, stderr } = await complete('cuda', env);
    assert.equal(code, 4, stderr);
    assert.match(stderr, /\[GPU_UNAVAILABLE\]$/m);
    return stderr;
  };

  it('tells what is missing, one thing after the other', async () => {
    execFileSync('g++', [
      ...['-x', 'c', '-shared', '-fPIC', '-o', driver],
      join(root, 'test/fixtures/cuda/driver.c'),
    ]);
    assert.match(await refused(stubbed({ STUB_GPUS: '0' })), /driver finds no GPU/);
    assert.match(await refused(stubbed({ STUB_CAPABILITY: '61' })), /Stub GPU is too old/);
    assert.match(await refused(stubbed()), /backend is not installed/);
    mkdirSync(dirname(backend), { recursive: true });
    writeFileSync(backend, 'no library');
    assert.match(
      await refused(stubbed({ STUB_CUDA: '12040' })),
      /driver is for CUDA 12, and CUDA 13 is needed/,
    );
    assert.match(await refused(stubbed()), /There is no libcu\w+\.so\.13|does not run here/);
  });

  it('goes on with the CPU where a GPU is only wished for', async () => {
    const { code, stdout, stderr } = await complete('auto', stubbed({ STUB_GPUS: '0' }));
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^sightline: on the CPU: .*finds no GPU/m);
    assert.match(stdout, /kernels$/m);
    const off = await complete('cpu', stubbed());
    assert.doesNotMatch(off.stderr, /on the CPU/);
  });
});
