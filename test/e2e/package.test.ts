import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { root } from './chromium.ts';

const folder = join(root, 'build', 'package', `${process.platform}-${process.arch}`);

describe('the package', () => {
  it('draws the memory view before the library that plots is there', () => {
    const at = join(folder, 'dist/webview');
    const plots = readdirSync(at).filter(
      (name) => name.endsWith('.js') && readFileSync(join(at, name), 'utf8').includes('u-wrap'),
    );
    assert.equal(plots.length, 1);
    assert.match(plots[0] ?? '', /^memory-/);
  });

  it('is as small as it can be', () => {
    const size = (file: string): number => statSync(file).size;
    const all = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) =>
      join(folder, name),
    );
    const files = all.filter((file) => statSync(file).isFile());
    const bytes = files.reduce((sum, file) => sum + size(file), 0);
    console.log(`${files.length} files, ${(bytes / 2 ** 20).toFixed(1)} MiB unpacked`);
    assert.ok(bytes < 100 * 2 ** 20, 'the package has grown: does it need all that?');
  });
});
