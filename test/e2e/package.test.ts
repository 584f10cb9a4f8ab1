import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { listFiles, PackageManager } from '@vscode/vsce';
import { root } from './chromium.ts';

const folder = join(root, 'build', 'package', `${process.platform}-${process.arch}`);

/** All that the extension runs on, and nothing else. */
const expected: readonly RegExp[] = [
  /^(?:package(?:\.nls)?\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^dist\/(?:extension\.cjs|sidecar\.mjs|web-tree-sitter\.wasm)$/,
  /^dist\/sightline\.mjs$/,
  /^dist\/grammars\/(?:LICENSE|tree-sitter-[\w-]+\.wasm)$/,
  /^dist\/native\/sightline\.node$/,
  /^dist\/native\/lib[\w.-]+\.so$/,
  /^dist\/webview\/(?:[\w-]+\.(?:js|css|ttf)|codicon\.LICENSE)$/,
  /^media\/[\w-]+\.svg$/,
  /^media\/models\/sightline-tiny-code-q8_0\.gguf$/,
  /^media\/screenshots\/\w+\.png$/,
  /^media\/walkthrough\/\w+\.md$/,
];

describe('the package', () => {
  it('has the files that the extension runs on, and no others', async () => {
    const files = await listFiles({ cwd: folder, packageManager: PackageManager.None });
    const others = files.filter((file) => !expected.some((pattern) => pattern.test(file)));
    assert.deepEqual(others, []);
    const unmet = expected.filter((pattern) => !files.some((file) => pattern.test(file)));
    assert.deepEqual(unmet, []);
  });

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
