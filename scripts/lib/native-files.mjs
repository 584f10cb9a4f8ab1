/** Whether a package has all that its native part is loaded with. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { readBinary } from './binaries.mjs';

/** Of the backend library. ggml looks for `.so` on macOS too. */
export const backendName = (target) =>
  target.startsWith('win32') ? 'ggml-sightline.dll' : 'libggml-sightline.so';

/** What every machine has that the package is for. */
const ofSystem = {
  linux:
    /^(lib(c|m|dl|pthread|rt|gcc_s|gomp)\.so\.\d+|libstdc\+\+\.so\.6|ld-linux-[\w-]+\.so\.\d)$/,
  darwin: /^\/(usr\/lib|System\/Library\/Frameworks)\//,
  win32: /^(KERNEL32|ADVAPI32|SHELL32|WS2_32|api-ms-win-crt-[\w-]+)\.dll$/i,
};

/** ggml looks for these itself. */
const isBackend = (file) => /^(lib)?ggml-(?!base)/.test(file);

const ownFolder = { linux: '$ORIGIN', darwin: '@loader_path' };

/**
 * @param {string} folder the native files of a package
 * @param {string} target by Node's names
 * @returns {Promise<string[]>} what is wrong, a sentence each
 */
export async function faultsOf(folder, target) {
  const faults = [];
  const files = await readdir(folder);
  const [system, machine] = target.split('-');
  const needed = new Set();
  const exported = new Map();
  for (const file of files) {
    const binary = await readBinary(path.join(folder, file));
    exported.set(file, binary.exports);
    if (binary.system !== system || binary.machine !== machine)
      faults.push(`${file} is for ${binary.system}-${binary.machine}.`);
    const [beside, others] = [[], []];
    for (const name of binary.needs) {
      const own = name.replace('@rpath/', '');
      if (files.includes(own)) beside.push(own);
      else if (!ofSystem[system].test(name)) others.push(name);
    }
    for (const name of beside) needed.add(name);
    for (const name of others) faults.push(`${file} needs ${name}, which is not in the package.`);
    const where = ownFolder[system];
    if (beside.length > 0 && where !== undefined && !binary.searches.includes(where))
      faults.push(`${file} does not look for ${beside.join(', ')} beside itself.`);
    if (binary.signed === false) faults.push(`${file} has no signature.`);
  }
  const entries = {
    'sightline.node': 'napi_register_module_v1',
    [backendName(target)]: 'ggml_backend_init',
  };
  for (const [file, entry] of Object.entries(entries))
    if (!exported.get(file)?.includes(entry)) faults.push(`There is no ${file} with ${entry}.`);
  for (const file of files)
    if (!(file in entries) && !isBackend(file) && !needed.has(file))
      faults.push(`${file} is in the package, and nothing needs it.`);
  return faults;
}
