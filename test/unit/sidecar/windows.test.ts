import assert from 'node:assert/strict';
import { utimesSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { Windows } from '../../../sidecar/windows.ts';
import { folderWith } from '../support/folder.ts';

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

describe('Windows', () => {
  it('know of each other while they live', async () => {
    const folder = join(folderWith({}), 'windows');
    const [first, second] = ['1', '2'].map((id) => new Windows(folder, () => undefined, id));
    assert.ok(first && second);
    await first.join();
    await first.join();
    assert.equal(first.count, 1);
    await second.join();
    assert.equal(second.count, 2);
    await until(() => first.count === 2);
    second.leave();
    await until(() => first.count === 1);
    first.leave();
    assert.deepEqual(await readdir(folder), []);
  });

  it('do not count what a dead one has left', async () => {
    const folder = folderWith({ dead: '' });
    utimesSync(join(folder, 'dead'), 1, 1);
    const window = new Windows(folder, () => undefined, '1');
    await window.join();
    assert.equal(window.count, 1);
    assert.deepEqual(await readdir(folder), ['1']);
    window.leave();
  });

  it('are alone where nothing can be written', async () => {
    const file = join(folderWith({ file: '' }), 'file');
    const window = new Windows(join(file, 'windows'), () => undefined, '1');
    await window.join();
    assert.equal(window.count, 1);
    window.leave();
    writeFileSync(file, '');
  });
});
