/** The native files of each package that was built here: that they are for its system, and complete. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { faultsOf } from '../../scripts/lib/native-files.mjs';
import { root } from './support.ts';

const host = `${process.platform}-${process.arch}`;
const targets = [...new Set([host, 'linux-x64', 'linux-arm64', 'win32-x64', 'darwin-arm64'])];

for (const target of targets) {
  const folder = join(root, target === host ? 'dist/native' : join('build/targets', target));
  const skip =
    !existsSync(folder) && `not built here: run "node scripts/package.mjs ${target}" first`;

  void test(`the package for ${target} has all that its native files need`, { skip }, async () => {
    assert.deepEqual(await faultsOf(folder, target), []);
  });

  void test(`a library that lacks in the package for ${target} is missed`, { skip }, async (t) => {
    const copy = await mkdtemp(join(tmpdir(), 'sightline-package-'));
    t.after(() => rm(copy, { recursive: true }));
    const lacks = /ggml-base\./;
    await cp(folder, copy, { recursive: true, filter: (file) => !lacks.test(file) });
    const faults = await faultsOf(copy, target);
    assert.ok(
      faults.some((fault) => /^sightline\.node needs .*ggml-base/.test(fault)),
      faults.join('\n'),
    );
  });
}
