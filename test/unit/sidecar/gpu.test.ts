import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gpuSearch } from '../../../sidecar/gpu/search.ts';

describe('gpuSearch', () => {
  let home = '';
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'sightline-'));
    for (const folder of [
      'toolkit/lib64',
      'own',
      '.local/lib/python3.12/site-packages/nvidia/cublas/lib',
      'venv/lib/python3.11/site-packages/nvidia/cu13/lib',
    ])
      await mkdir(join(home, folder), { recursive: true });
  });
  after(() => rm(home, { recursive: true }));

  const machine = (env: NodeJS.ProcessEnv = {}, platform = 'linux-x64') => ({
    platform,
    env,
    home,
  });

  it('looks where the packages are put, the newest CUDA first', () => {
    const search = gpuSearch({ use: 'auto', layers: 0, cudaPath: '' }, machine());
    assert.deepEqual(
      search?.backends.map(({ cudaVersion }) => cudaVersion),
      [13, 12],
    );
    const [first] = search.backends;
    assert.equal(
      first?.path,
      join(home, '.cache/sightline/gpu/linux-x64-cuda-3.22.1/bins/linux-x64-cuda/libggml-cuda.so'),
    );
    assert.equal(search.required, false);
  });

  it("looks for the toolkit's libraries where the user says, then in the usual places", () => {
    const env = { CUDA_PATH: join(home, 'toolkit'), VIRTUAL_ENV: join(home, 'venv') };
    const search = gpuSearch({ use: 'auto', layers: 0, cudaPath: join(home, 'own') }, machine(env));
    assert.deepEqual(
      search?.toolkitFolders.filter((folder) => folder.startsWith(home)),
      [
        join(home, 'own'),
        join(home, 'toolkit'),
        join(home, 'toolkit/lib64'),
        join(home, 'venv/lib/python3.11/site-packages/nvidia/cu13/lib'),
        join(home, '.local/lib/python3.12/site-packages/nvidia/cublas/lib'),
      ],
    );
  });

  it('looks for nothing where no GPU is wanted or none can be', () => {
    assert.equal(gpuSearch({ use: 'off', layers: 0, cudaPath: '' }, machine()), undefined);
    assert.equal(
      gpuSearch({ use: 'auto', layers: 0, cudaPath: '' }, machine({}, 'darwin-arm64')),
      undefined,
    );
    const required = gpuSearch(
      { use: 'required', layers: 0, cudaPath: '' },
      machine({}, 'darwin-arm64'),
    );
    assert.deepEqual(required, { required: true, layers: 0, backends: [], toolkitFolders: [] });
  });
});
