/**
 * The VS Code server of code-server, without code-server's own wrapper: install a vsix, start, stop.
 * It listens on loopback only, and answers only who has the connection token.
 */
import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../lib/shell.mjs';
import { codeServerNode, vscodeFolder } from './setup.mjs';

const host = '127.0.0.1';
const startTimeoutMs = 90_000;
const stopTimeoutMs = 5_000;
/** At any of these the server is stopped, and with it what waits for its end. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const serverMain = path.join(vscodeFolder, 'out/server-main.js');

/** Every server's settings: nothing in front of the editor, and nothing asked of the network. */
const commonSettings = {
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.tips.enabled': false,
  'telemetry.telemetryLevel': 'off',
  // VS Code's own assistant would report to its maker; completions of extensions stay.
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'git.openRepositoryInParentFolders': 'never',
  'editor.inlineSuggest.enabled': true,
};

/** code-server's variable for the extension gallery: none, so that its service is not asked. */
const noGallery = { EXTENSIONS_GALLERY: '{}' };

const foldersOf = (folder) => ({
  extensions: path.join(folder, 'extensions'),
  data: path.join(folder, 'data'),
  userSettings: path.join(folder, 'data/data/User/settings.json'),
  // Settings of scope `machine` are read from here alone: the server is a remote machine.
  machineSettings: path.join(folder, 'data/data/Machine/settings.json'),
  log: path.join(folder, 'server.log'),
});

const commonArguments = (folders) => [
  serverMain,
  '--accept-server-license-terms',
  ...['--telemetry-level', 'off'],
  ...['--extensions-dir', folders.extensions],
  ...['--server-data-dir', folders.data],
];

/** Installs a packaged extension for servers that start in `folder`. */
export function installExtension(vsix, folder) {
  const args = [...commonArguments(foldersOf(folder)), '--install-extension', vsix, '--force'];
  const { status, stdout, stderr } = spawnSync(codeServerNode, args, { encoding: 'utf8' });
  if (status !== 0) throw new Failure(`Could not install ${vsix}:\n${stdout}${stderr}`);
}

/** `preferred` where it is free, else any free port. */
function freePort(preferred) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => {
      if (error.code === 'EADDRINUSE' && preferred !== 0) resolve(freePort(0));
      else reject(error);
    });
    server.listen(preferred, host, () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Ends the server and all that it started: they share one process group. */
function endGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** What the user has changed in an earlier run stays. */
async function writeSettings(file, settings) {
  if (existsSync(file)) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(settings, null, 2)}\n`);
}

export async function startServer({
  folder,
  port: preferredPort = 0,
  settings = {},
  machineSettings = {},
  env = {},
  testDriver = false,
  workspaceTrust = false,
}) {
  const folders = foldersOf(folder);
  const port = await freePort(preferredPort);
  const token = randomUUID();
  await mkdir(folders.extensions, { recursive: true });
  await writeSettings(folders.userSettings, { ...commonSettings, ...settings });
  await writeSettings(folders.machineSettings, machineSettings);

  const log = openSync(folders.log, 'w');
  const child = spawn(
    codeServerNode,
    [
      ...commonArguments(folders),
      ...['--host', host, '--port', String(port), '--connection-token', token],
      ...(workspaceTrust ? [] : ['--disable-workspace-trust']),
      ...(testDriver ? ['--enable-smoke-test-driver'] : []),
    ],
    { detached: true, stdio: ['ignore', log, log], env: { ...process.env, ...noGallery, ...env } },
  );
  closeSync(log);
  let asked = false;
  const ended = new Promise((resolve) => {
    const settle = (how) => {
      process.removeListener('exit', killAll);
      for (const signal of signals) process.removeListener(signal, stop);
      resolve(asked ? undefined : how);
    };
    child.once('error', (error) => settle(error.message));
    child.once('exit', (code, signal) => settle(`exit code ${code ?? signal}`));
  });
  const killAll = () => endGroup(child, 'SIGKILL');
  const stop = async () => {
    asked = true;
    endGroup(child, 'SIGTERM');
    await Promise.race([ended, sleep(stopTimeoutMs, undefined, { ref: false })]);
    killAll();
    await ended;
  };
  process.once('exit', killAll);
  for (const signal of signals) process.once(signal, stop);

  const origin = `http://${host}:${port}`;
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    const answer = await fetch(`${origin}/version`).catch(() => undefined);
    if (answer?.ok) break;
    const late = Date.now() > deadline;
    if (late || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      await stop();
      const why = late ? `no answer in ${startTimeoutMs / 1000} s` : 'it ended';
      const tail = (await readFile(folders.log, 'utf8')).slice(-2000);
      throw new Failure(`VS Code's server did not start: ${why}. End of ${folders.log}:\n${tail}`);
    }
    await sleep(100);
  }

  return {
    port,
    authority: `${host}:${port}`,
    ended,
    stop,
    /** @param {string} workspace absolute path @param {Array<[string, string]>} payload as VS Code's own tests pass it */
    url(workspace, payload = []) {
      const url = new URL(origin);
      url.searchParams.set('tkn', token);
      url.searchParams.set('folder', workspace);
      if (payload.length > 0) url.searchParams.set('payload', JSON.stringify(payload));
      return url.href;
    },
  };
}
