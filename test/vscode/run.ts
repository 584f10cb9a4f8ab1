/**
 * Bundles test/vscode/suite and runs it inside a real extension host: code-server's where there is
 * one, desktop VS Code's elsewhere or with --electron. Writes the counts to the file it is given;
 * --grep PATTERN runs the tests whose title matches.
 */
import { build } from 'esbuild';
import { readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { hasCodeServer } from '../../scripts/code-server/setup.mjs';
import { fullFile, makeSampleWorkspace } from '../../scripts/sample-workspace.mjs';
import { root } from '../e2e/chromium.ts';
import { bundledModelWithoutTemplate } from '../fixtures/models/generate.ts';
import { FakeHub } from '../unit/support/fakeHub.ts';
import { runInCodeServer } from './code-server.ts';
import { runInElectron } from './electron.ts';

export interface Launch {
  /** Absolute path of the bundled suite. */
  readonly suite: string;
  /** Absolute path of the folder that VS Code opens. */
  readonly workspace: string;
  /** Environment of the extension host. */
  readonly env: Readonly<Record<string, string>>;
}

async function bundleSuite(folder: string): Promise<string> {
  const source = path.join(root, 'test/vscode/suite');
  const entries = readdirSync(source).filter((name) => /^index\.ts$|\.test\.ts$/.test(name));
  await build({
    entryPoints: entries.map((name) => path.join(source, name)),
    outdir: folder,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    external: ['vscode', 'mocha'],
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  return path.join(folder, 'index.cjs');
}

const { values, positionals } = parseArgs({
  options: {
    electron: { type: 'boolean', default: !hasCodeServer },
    grep: { type: 'string', default: '' },
  },
  allowPositionals: true,
});
const folder = path.join(root, 'build/vscode-tests');
const counts = path.resolve(positionals[0] ?? path.join(folder, 'counts.json'));
const report = path.join(folder, 'report.txt');
await rm(report, { force: true });
await rm(path.join(folder, 'hub'), { recursive: true, force: true });
const workspace = await makeSampleWorkspace(path.join(folder, 'workspace'));
// What the tests download comes from this machine.
const hub = new FakeHub();
await hub.start();
const model = await readFile(path.join(root, 'media/models/sightline-tiny-code-q8_0.gguf'));
hub.repositories.set('tests/Tiny-Code-GGUF', { files: { 'tiny-code-1k-q8_0.gguf': model } });
const launch: Launch = {
  suite: await bundleSuite(path.join(folder, 'suite')),
  workspace,
  env: {
    SIGHTLINE_TEST_COUNTS: counts,
    SIGHTLINE_TEST_REPORT: report,
    SIGHTLINE_TEST_GREP: values.grep,
    SIGHTLINE_FULL_FILE: path.join(workspace, fullFile),
    SIGHTLINE_MODEL_WITHOUT_TEMPLATE: bundledModelWithoutTemplate(),
    XDG_CACHE_HOME: path.join(folder, 'cache'),
    HF_HOME: path.join(folder, 'hub'),
    HF_ENDPOINT: hub.endpoint,
  },
};
const passed = await (values.electron ? runInElectron(launch) : runInCodeServer(launch));
hub.stop();
console.log(await readFile(report, 'utf8').catch(() => 'The suite did not start.'));
if (!passed) process.exitCode = 1;
