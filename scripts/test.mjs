/** `npm test`: all stages in order, or those named: `npm test -- unit native`. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import {
  bootstrap,
  bootstrapPackages,
  buildTools,
  hostTarget,
  requireTools,
} from './bootstrap.mjs';
import {
  build,
  buildEmulatedAddon,
  buildEmulatedTests,
  buildNativeBench,
  buildNativeTests,
  targetsHere,
} from './build.mjs';
import { hasCodeServer, installCodeServer } from './code-server/setup.mjs';
import { attempt, at, Failure, heading, main } from './lib/shell.mjs';
import { filesUnder } from './lib/stamp.mjs';
import { installNodeLlamaCpp } from './node-llama-cpp/setup.mjs';
import { packageExtension } from './package.mjs';

/** Only against a test that hangs; far above what any of them takes. */
const hangMs = 30 * 60_000;

const result = (passed, failures, skips = []) => ({
  passed,
  failed: failures.length,
  skipped: skips.length,
  failures,
  skips,
});

const resultsFolder = at('build/test-results');

/** Where a runner writes its counts; absent afterwards where it did not come that far. */
async function countsFile(stage) {
  await mkdir(resultsFolder, { recursive: true });
  const file = path.join(resultsFolder, `${stage}.json`);
  await rm(file, { force: true });
  return file;
}

async function readCounts(file, stage, code) {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (text === '') return result(0, [`${stage} ended with exit code ${code} and no results`]);
  const counts = JSON.parse(text);
  if (counts.passed + counts.failed + counts.skipped === 0)
    return result(0, [`${stage} ran no test`]);
  if (code === 0 || counts.failed > 0) return counts;
  return { ...counts, failed: 1, failures: [`${stage} ended with exit code ${code}`] };
}

/** For files whose tests compute on one thread each. */
const onAllCores = [`--test-concurrency=${availableParallelism()}`];

/** All `*.test.ts` under test/`folder`. (Node 20 takes no globs.) */
async function nodeTests(folder, flags = []) {
  const files = filesUnder(at('test', folder)).filter((file) => file.endsWith('.test.ts'));
  if (files.length === 0) return result(0, [`no *.test.ts in test/${folder}`]);
  const counts = await countsFile(folder);
  const { code } = await attempt(process.execPath, [
    ...['--import', 'tsx', '--test', `--test-timeout=${hangMs}`, ...flags],
    ...['--test-reporter', 'spec', '--test-reporter-destination', 'stdout'],
    ...['--test-reporter', at('scripts/lib/count-reporter.mjs')],
    ...['--test-reporter-destination', counts],
    ...files,
  ]);
  return readCounts(counts, folder, code);
}

async function lint() {
  const sources = ['native', 'test/native', 'bench/native']
    .flatMap((folder) => filesUnder(at(folder)))
    .filter((file) => /\.(cpp|cu|h)$/.test(file));
  const script = (file, ...args) => [process.execPath, [at('node_modules', file), ...args]];
  const checks = {
    eslint: script('eslint/bin/eslint.js', '.'),
    prettier: script('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'),
    tsc: script('typescript/bin/tsc', '--noEmit'),
    'tsc of the pages': script(
      'typescript/bin/tsc',
      '--project',
      at('extension/tsconfig.view.json'),
    ),
    'clang-format': ['clang-format', ['--dry-run', '-Werror', ...sources]],
  };
  const failures = [];
  const check = async ([name, [command, args]]) => {
    const { code } = await attempt(command, args);
    console.log(`${code === 0 ? '✔' : '✖'} ${name}`);
    if (code !== 0) failures.push(name);
  };
  await Promise.all(Object.entries(checks).map(check));
  return result(Object.keys(checks).length - failures.length, failures);
}

/** Runs tests by ctest; their names get the build's in front. */
async function runNative(name, folder) {
  const report = path.join(resultsFolder, `native-${name}.xml`);
  await mkdir(resultsFolder, { recursive: true });
  await rm(report, { force: true });
  const { code } = await attempt('ctest', [
    ...['--test-dir', folder, '--output-on-failure', '--no-tests=error'],
    ...['--timeout', String(hangMs / 1000), '--output-junit', report],
    // Most of them run on one thread.
    ...['--parallel', String(availableParallelism())],
  ]);
  const xml = await readFile(report, 'utf8').catch(() => '');
  const cases = [...xml.matchAll(/<testcase name="([^"]*)"[^>]* status="([^"]*)"/g)];
  const named = (...statuses) =>
    cases.filter(([, , status]) => statuses.includes(status)).map(([, test]) => `${name} ${test}`);
  const skips = named('notrun', 'disabled').map((test) => ({
    name: test,
    reason: 'ctest did not run it',
  }));
  // What a test says of its parts; the same in several programs is one thing.
  for (const reason of new Set([...xml.matchAll(/SKIPPED: (.*)/g)].map(([, text]) => text)))
    skips.push({ name, reason });
  const failures = named('fail');
  if (code !== 0 && failures.length === 0)
    failures.push(`${name}: ctest ended with exit code ${code}`);
  return result(named('run').length, failures, skips);
}

async function nativeTests() {
  const builds = {
    memory: () => buildNativeTests('memory'),
    threads: () => buildNativeTests('threads'),
    aarch64: () => buildEmulatedTests('linux-arm64'),
  };
  const outcomes = [];
  for (const [name, buildTests] of Object.entries(builds)) {
    const here = isLinux || name === 'memory';
    outcomes.push(here ? await runNative(name, await buildTests()) : notHere(name));
  }
  const all = (key) => outcomes.flatMap((outcome) => outcome[key]);
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  return result(passed, all('failures'), all('skips'));
}

const notHere = (name) => {
  const reason = `they are set up for Linux on x64 only, not ${process.platform} on ${process.arch}`;
  return result(0, [], [{ name: `all native tests of ${name}`, reason }]);
};

async function extensionHostTests() {
  const counts = await countsFile('vscode');
  const { code } = await attempt(process.execPath, [
    '--import',
    'tsx',
    at('test/vscode/run.ts'),
    counts,
  ]);
  return readCounts(counts, 'vscode', code);
}

async function browserTests() {
  if (!hasCodeServer) {
    const reason = `VS Code in the browser is there for Linux on x64 only, not ${process.platform} on ${process.arch}`;
    return result(0, [], [{ name: 'all browser tests', reason }]);
  }
  await packageExtension();
  return nodeTests('e2e', ['--test-concurrency=1']);
}

let building;
/** Several stages need the build; where it fails, it fails once. */
const buildOnce = () => (building ??= build());

const isLinux = hostTarget === 'linux-x64';
const emulatorTools = isLinux ? ['aarch64-linux-gnu-g++', 'qemu-aarch64'] : [];
const browserTools = hasCodeServer ? ['chromium'] : [];
const installBrowserServer = async () => {
  if (hasCodeServer) await installCodeServer();
};

/** Not for Windows: with llama.cpp, which is compiled for it, that takes a quarter of an hour. */
async function packageAll() {
  for (const target of targetsHere)
    if (target === hostTarget || target !== 'win32-x64') await packageExtension(target);
}

/** What several files of tests use is built before they run side by side. */
async function buildForQuality() {
  await buildOnce();
  await buildNativeBench();
  if (process.platform !== 'win32') await buildEmulatedAddon();
}

/** In order. `setUp` brings what the stage needs; what an earlier stage brought costs nothing again. */
const stages = [
  {
    name: 'build',
    tools: buildTools,
    setUp: bootstrap,
    run: () => buildOnce().then(() => result(1, [])),
  },
  { name: 'lint', tools: ['clang-format'], setUp: bootstrapPackages, run: lint },
  { name: 'unit', tools: [], setUp: bootstrapPackages, run: () => nodeTests('unit', onAllCores) },
  {
    name: 'native',
    tools: [...buildTools, 'doctest', ...emulatorTools],
    setUp: bootstrap,
    run: nativeTests,
  },
  {
    name: 'integration',
    tools: buildTools,
    setUp: () => buildOnce().then(installNodeLlamaCpp).then(packageAll),
    run: () => nodeTests('integration', onAllCores),
  },
  {
    name: 'quality',
    tools: buildTools,
    setUp: buildForQuality,
    run: () => nodeTests('quality', onAllCores),
  },
  {
    name: 'vscode',
    tools: [...buildTools, ...browserTools],
    setUp: () => buildOnce().then(installBrowserServer),
    run: extensionHostTests,
  },
  {
    name: 'e2e',
    tools: [...buildTools, ...browserTools],
    setUp: () => buildOnce().then(installBrowserServer),
    run: browserTests,
  },
];

/** A stage that cannot be set up or run has failed, and the next one goes on. */
async function runStage(stage) {
  heading(stage.name);
  const begin = performance.now();
  let outcome;
  try {
    await stage.setUp();
    outcome = await stage.run();
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    outcome = result(0, [error.message.split('\n')[0]]);
  }
  return { name: stage.name, seconds: (performance.now() - begin) / 1000, ...outcome };
}

function report(outcomes) {
  const row = (cells) =>
    cells.map((cell, i) => String(cell)[i ? 'padStart' : 'padEnd'](12)).join('');
  console.log(`\n${row(['stage', 'passed', 'failed', 'skipped', 'time'])}`);
  for (const { name, passed, failed, skipped, seconds } of outcomes) {
    console.log(row([name, passed, failed, skipped, `${seconds.toFixed(1)} s`]));
  }
  for (const { name, failures, skips } of outcomes) {
    for (const skip of skips) console.log(`SKIPPED ${name}: ${skip.name}: ${skip.reason}`);
    for (const failure of failures) console.log(`FAILED ${name}: ${failure}`);
  }
  const sum = (key) => outcomes.reduce((total, outcome) => total + outcome[key], 0);
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped`);
  if (sum('failed') > 0) process.exitCode = 1;
}

await main(async () => {
  const names = process.argv.slice(2);
  const known = stages.map((stage) => stage.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Failure(`No stage ${unknown.join(', ')}. Stages: ${known.join(', ')}.`);
  }
  const chosen = stages.filter((stage) => names.length === 0 || names.includes(stage.name));
  await requireTools([...new Set(chosen.flatMap((stage) => stage.tools))]);
  const outcomes = [];
  for (const stage of chosen) outcomes.push(await runStage(stage));
  report(outcomes);
});
