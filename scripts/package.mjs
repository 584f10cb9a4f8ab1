/** Packages the extension as a vsix for this platform. */
import { rm } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { build } from './build.mjs';
import { at, heading, main, node } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

const target = `${process.platform}-${process.arch}`;

/** Builds what is out of date. @returns {Promise<string>} the path of the vsix */
export async function packageExtension() {
  await build();
  const vsix = at('build', `sightline-${target}.vsix`);
  const contents = [
    'package.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    '.vscodeignore',
    'dist',
    'media',
  ];
  await once('vsix', { files: contents.map((name) => at(name)), outputs: [vsix] }, async () => {
    heading('vsix');
    await rm(vsix, { force: true });
    const vsce = at('node_modules/@vscode/vsce/vsce');
    // Without a repository in the manifest there is nothing that README's links could be rewritten to.
    const linksAsTheyAre = ['--allow-missing-repository', '--no-rewrite-relative-links'];
    const options = ['--no-dependencies', ...linksAsTheyAre, '--target', target];
    await node([vsce, 'package', ...options, '--out', vsix]);
  });
  return vsix;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(async () => {
    console.log(await packageExtension());
  });
}
