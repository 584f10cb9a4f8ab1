/** What is in each package that was made here: the files meant, and a native part that is complete. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import JSZip from 'jszip';
import { faultsOf } from '../../scripts/lib/native-files.mjs';
import { root } from './support.ts';

const host = `${process.platform}-${process.arch}`;
const targets = [...new Set([host, 'linux-x64', 'linux-arm64', 'win32-x64', 'darwin-arm64'])];

/** Everything but the native part and what vsce adds. */
const everywhere = [
  'LICENSE.txt',
  'changelog.md',
  'dist/extension.cjs',
  'dist/grammars/LICENSE',
  ...['c-sharp', 'cpp', 'go', 'java', 'javascript', 'php', 'python', 'ruby', 'rust', 'tsx'].map(
    (language) => `dist/grammars/tree-sitter-${language}.wasm`,
  ),
  'dist/grammars/tree-sitter-typescript.wasm',
  'dist/sidecar.mjs',
  'dist/web-tree-sitter.wasm',
  'dist/webview/chat.css',
  'dist/webview/chat.js',
  'dist/webview/codicon.LICENSE',
  'dist/webview/codicon.css',
  'dist/webview/codicon.ttf',
  'dist/webview/memory-HASH.js',
  'dist/webview/memory.css',
  'dist/webview/memory.js',
  'media/models/sightline-tiny-code-q8_0.gguf',
  'media/screenshots/chat.png',
  'media/screenshots/completion.png',
  'media/screenshots/memory.png',
  'media/sightline.svg',
  'media/walkthrough/complete.md',
  'media/walkthrough/memory.md',
  'media/walkthrough/model.md',
  'media/walkthrough/pin.md',
  'package.json',
  'package.nls.json',
  'readme.md',
];

/** Unpacks a package's native part. */
async function nativeFolder(zip: JSZip, context: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sightline-package-'));
  context.after(() => rm(folder, { recursive: true }));
  for (const file of zip.file(/^extension\/dist\/native\//))
    await writeFile(join(folder, basename(file.name)), await file.async('nodebuffer'));
  return folder;
}

for (const target of targets) {
  const vsix = join(root, 'build', `sightline-${target}.vsix`);
  const skip = !existsSync(vsix) && `not made here: run "node scripts/package.mjs ${target}" first`;
  const open = async (): Promise<JSZip> => JSZip.loadAsync(await readFile(vsix));

  void test(`the package for ${target} has the files that are meant`, { skip }, async () => {
    const names = (await open()).file(/^extension\//).map(({ name }) => name);
    const others = names
      .filter((name) => !name.startsWith('extension/dist/native/'))
      .map((name) => name.replace(/-[0-9A-Z]{8}\.js$/, '-HASH.js'));
    assert.deepEqual(others.sort(), everywhere.map((name) => `extension/${name}`).sort());
  });

  void test(
    `the package for ${target} has what its native part needs, and no more`,
    { skip },
    async (t) => {
      const folder = await nativeFolder(await open(), t);
      assert.deepEqual(await faultsOf(folder, target), []);

      const base = (await readdir(folder)).find((name) => /^(lib)?ggml-base\./.test(name)) ?? '';
      await copyFile(join(folder, base), join(folder, 'spare.so'));
      assert.deepEqual(await faultsOf(folder, target), [
        'spare.so is in the package, and nothing needs it.',
      ]);
      await rm(join(folder, 'spare.so'));
      await rm(join(folder, base));
      const faults = await faultsOf(folder, target);
      const missed = `sightline.node needs ${base}, which is not in the package.`;
      assert.ok(
        faults.map((fault) => fault.replace('@rpath/', '')).includes(missed),
        faults.join('\n'),
      );
    },
  );
}
