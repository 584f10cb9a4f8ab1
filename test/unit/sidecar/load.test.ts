import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bundledModelPath, extensionRoot, loadAddon } from '../../../sidecar/engine/load.ts';
import { FakeAddon } from '../support/fakeAddon.ts';

describe('loadAddon', () => {
  let root = '';
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'sightline-'));
    await mkdir(join(root, 'dist', 'native'), { recursive: true });
  });
  after(() => rm(root, { recursive: true }));

  it('says what to do where the addon was not built', () => {
    const outcome = loadAddon(root, 'linux-x64');
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ADDON_MISSING');
    assert.match(outcome.error.message, /npm run build.*reinstall the extension for linux-x64/);
  });

  it('names the platforms where there is nothing prebuilt', () => {
    const outcome = loadAddon(root, 'sunos-x64');
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'PLATFORM_UNSUPPORTED');
    assert.match(outcome.error.message, /sunos-x64\. Sightline runs on linux-x64, /);
  });

  it('says why an addon does not load', async () => {
    await writeFile(join(root, 'dist', 'native', 'sightline.node'), 'no library');
    const outcome = loadAddon(root);
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'ADDON_UNLOADABLE');
    assert.match(outcome.error.message, /sightline\.node does not load: .+ Run "npm run build"/);
  });

  it('refuses an addon that runs with another llama.cpp than it was built for', async () => {
    await writeFile(join(root, 'dist', 'native', 'sightline.node'), '');
    const addon = Object.assign(new FakeAddon(), { release: { built: 'v2', loaded: 'v1' } });
    const outcome = loadAddon(root, 'linux-x64', () => addon);
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'RELEASE_MISMATCH');
    assert.match(outcome.error.message, /built for llama\.cpp v2, but .* are v1/);
  });

  it('gives the addon and the folder of its libraries', async () => {
    await writeFile(join(root, 'dist', 'native', 'sightline.node'), '');
    const addon = new FakeAddon();
    const outcome = loadAddon(root, 'linux-x64', () => addon);
    assert.ok(outcome.ok);
    assert.equal(outcome.value.addon, addon);
    assert.equal(outcome.value.path, join(root, 'dist', 'native', 'sightline.node'));
    assert.equal(outcome.value.librariesPath, join(root, 'dist', 'native'));
  });
});

describe('extensionRoot', () => {
  it('is where package.json and the bundled model are', () => {
    assert.equal(
      join(extensionRoot(), 'sidecar', 'engine'),
      join(import.meta.dirname, '../../../sidecar/engine'),
    );
    assert.ok(bundledModelPath().startsWith(extensionRoot()));
  });
});
