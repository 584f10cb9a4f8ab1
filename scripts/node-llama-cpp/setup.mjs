/**
 * Installs node-llama-cpp's JavaScript, the llama.cpp program that the backend library is tested
 * in. Without its optional packages: it finds the prebuilt llama.cpp in the root's node_modules,
 * and the ones for GPUs are of no use here.
 */
import path from 'node:path';
import { at, heading, npm } from '../lib/shell.mjs';
import { once } from '../lib/stamp.mjs';

const here = at('scripts/node-llama-cpp');
const entry = path.join(here, 'node_modules/node-llama-cpp/dist/index.js');

export async function installNodeLlamaCpp() {
  await once(
    'node-llama-cpp',
    { files: [path.join(here, 'package-lock.json')], outputs: [entry] },
    async () => {
      heading('node-llama-cpp');
      // Not `npm ci`, for the same reason as in bootstrap.mjs.
      const install = ['install', '--no-save', '--ignore-scripts', '--omit=optional'];
      await npm([...install, '--no-audit', '--no-fund', '--prefer-offline'], { cwd: here });
    },
  );
}
