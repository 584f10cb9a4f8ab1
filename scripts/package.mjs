/** Packages the extension as a vsix: `node scripts/package.mjs [target]`, for this platform where none is given. */
import { cp, mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { hostTarget } from './bootstrap.mjs';
import { build, buildNativeFor } from './build.mjs';
import { faultsOf } from './lib/native-files.mjs';
import { at, Failure, heading, main, node } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

export const vsixOf = (target = hostTarget) => at('build', `sightline-${target}.vsix`);

/** What is packaged, but for the native part. */
const contents = [
  'package.json',
  'package.nls.json',
  'README.md',
  'LICENSE',
  'CHANGELOG.md',
  '.vscodeignore',
  'media',
];

/** The native part comes from elsewhere; the command line is for checkouts. */
const unpackaged = new Set(['dist/native', 'dist/sightline.mjs'].map((name) => at(name)));

/** Builds what is out of date. @returns {Promise<string>} the path of the vsix */
export async function packageExtension(target = hostTarget) {
  await build();
  const native = await buildNativeFor(target);
  const vsix = vsixOf(target);
  const files = [...contents, 'dist', 'scripts/package.mjs'].map((name) => at(name));
  const inputs = { files: [...files, native], text: [target], outputs: [vsix] };
  await once(`vsix-${target}`, inputs, async () => {
    heading(`vsix for ${target}`);
    const faults = await faultsOf(native, target);
    if (faults.length > 0)
      throw new Failure(`The native part for ${target}:\n${faults.join('\n')}`);
    const folder = at('build/package', target);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const name of contents) await cp(at(name), path.join(folder, name), { recursive: true });
    await cp(at('dist'), path.join(folder, 'dist'), {
      recursive: true,
      filter: (from) => !unpackaged.has(from) && !from.endsWith('.map'),
    });
    await cp(native, path.join(folder, 'dist/native'), { recursive: true });
    await rm(vsix, { force: true });
    const vsce = at('node_modules/@vscode/vsce/vsce');
    // Without a repository in the manifest there is nothing that README's links could be rewritten to.
    const linksAsTheyAre = ['--allow-missing-repository', '--no-rewrite-relative-links'];
    const options = ['--no-dependencies', ...linksAsTheyAre, '--target', target];
    await node([vsce, 'package', ...options, '--out', vsix], { cwd: folder });
    const { size } = await stat(vsix);
    console.log(`${path.basename(vsix)}: ${(size / 2 ** 20).toFixed(1)} MiB`);
  });
  return vsix;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(async () => {
    console.log(await packageExtension(process.argv[2]));
  });
}
