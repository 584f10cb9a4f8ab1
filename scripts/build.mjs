/**
 * Builds dist/: the native addon and the backend library with llama.cpp's prebuilt libraries beside
 * them, and the bundles.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bootstrap, hostTarget, librariesFolder, requireTools } from './bootstrap.mjs';
import * as byZig from './cross.mjs';
import { buildKernels } from './cuda.mjs';
import { buildRelease } from './lib/cmake.mjs';
import { backendName } from './lib/native-files.mjs';
import { at, Failure, heading, main, node, run } from './lib/shell.mjs';
import { once } from './lib/stamp.mjs';

const nativeOutput = at('dist/native');
const addon = path.join(nativeOutput, 'sightline.node');
const backend = path.join(nativeOutput, backendName(hostTarget));

const nativeInputs = (kernels) => ({
  files: [at('native'), at('scripts/build.mjs'), at('build/llama.cpp/RELEASE')],
  text: [process.platform, process.arch, String(kernels !== undefined)],
});

async function buildAddon() {
  const kernels = await buildKernels();
  if (kernels === undefined)
    console.log('There is no nvcc here: the addon gets no CUDA kernels and uses the CPU only.');
  await once('addon', { ...nativeInputs(kernels), outputs: [addon, backend] }, async () => {
    heading('native addon and backend library');
    const cmakeJs = at('node_modules/cmake-js/bin/cmake-js');
    const folders = ['--directory', at('native'), '--out', at('build/native')];
    const cuda = `--CDSIGHTLINE_CUDA_KERNELS=${kernels ?? ''}`;
    // `compile` alone leaves settings as they were in a folder that was configured before.
    for (const command of ['configure', 'compile'])
      await node([cmakeJs, command, ...folders, cuda, '--config', 'Release']);
    await mkdir(nativeOutput, { recursive: true });
    for (const output of [addon, backend])
      await replace(at('build/native/Release', path.basename(output)), output);
  });
}

/** Runs a program of Linux for aarch64, with the libraries of its compiler. */
export const emulatorOfAarch64 = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'];

const aarch64 = {
  CMAKE_SYSTEM_NAME: 'Linux',
  CMAKE_SYSTEM_PROCESSOR: 'aarch64',
  CMAKE_CXX_COMPILER: 'aarch64-linux-gnu-g++',
  CMAKE_CROSSCOMPILING_EMULATOR: emulatorOfAarch64.join(';'),
};

/** Where the others are built: on the one system that Debian's compiler and Zig are set up for. */
const crossHost = 'linux-x64';

/** The platforms that a vsix can be made for here. */
export const targetsHere = [
  hostTarget,
  ...(hostTarget === crossHost ? ['linux-arm64', 'win32-x64', 'darwin-arm64'] : []),
];

/** What CMake is to be told, with llama.cpp's libraries beside the output. */
async function prepareFor(target, output) {
  if (byZig.isKnown(target)) {
    const { libraries, ...forCMake } = await byZig.prepare(target);
    await copyLibraries(target, output, libraries);
    return forCMake;
  }
  await requireTools([aarch64.CMAKE_CXX_COMPILER, emulatorOfAarch64[0]]);
  await copyLibraries(target, output);
  return { settings: { ...aarch64, SIGHTLINE_LLAMA_LIBRARIES: output }, env: {} };
}

/** Where it is built for a platform that is not this one. */
const workOf = (target) => at(`build/native-${target}`);

/**
 * The native part for a platform: this one's, which `build` has made, or that of one that can be built for here. Without
 * CUDA kernels where it is not this one's. Resolves to its folder.
 */
export async function buildNativeFor(target) {
  if (target === hostTarget) return nativeOutput;
  if (!targetsHere.includes(target)) {
    throw new Failure(
      `The package for ${target} cannot be built on ${hostTarget}. Run this on ${target} or ${crossHost}, or on a CI machine that is one.`,
    );
  }
  const output = at('build/targets', target);
  const { settings, env } = await prepareFor(target, output);
  const names = ['sightline.node', backendName(target)];
  const outputs = names.map((name) => path.join(output, name));
  const files = [...nativeInputs().files, at('scripts/cross.mjs')];
  await once(`addon-${target}`, { files, text: [JSON.stringify(settings)], outputs }, async () => {
    heading(`native addon for ${target}`);
    const folder = workOf(target);
    const node = { CMAKE_JS_INC: at('node_modules/node-api-headers/include') };
    await buildRelease(at('native'), folder, { ...node, ...settings }, env);
    for (const [index, name] of names.entries()) {
      const from = index === 0 ? 'addon' : 'backend';
      await replace(path.join(folder, from, name), outputs[index]);
    }
  });
  return output;
}

/** What is made of the same objects as the addon, which comes before. */
const buildBesides = (target, options) =>
  run('cmake', ['--build', at('build/native'), '--config', 'Release', '--target', target], options);

/**
 * The addon with an emulated GPU, for tests, in a folder that looks like the extension's. `build`
 * comes before. Resolves to the folder.
 */
export async function buildEmulatedAddon() {
  const folder = at('build/emulated');
  const output = path.join(folder, 'dist/native/sightline.node');
  const inputs = nativeInputs();
  inputs.files.push(at('test/native/stand_in'));
  await once('emulated', { ...inputs, outputs: [output] }, async () => {
    heading('native addon with an emulated GPU');
    await buildBesides('sightline_emulated');
    await rm(folder, { recursive: true, force: true });
    await mkdir(path.dirname(output), { recursive: true });
    for (const name of await readdir(nativeOutput))
      if (name !== path.basename(addon))
        await symlink(path.join(nativeOutput, name), path.join(path.dirname(output), name));
    await copyFile(at('build/native/Release/sightline-emulated.node'), output);
  });
  return folder;
}

/** A process may have the old file mapped: it keeps it, since the new one is another file. */
async function replace(from, to) {
  await rm(to, { force: true });
  await copyFile(from, to);
}

/** What llama.cpp's own programs and layers on Apple's GPUs would need. */
const unused = /^(lib)?(llama-common|ggml-metal)\./;

async function copyLibraries(
  target = hostTarget,
  to = nativeOutput,
  from = librariesFolder(target),
) {
  const names = (await readdir(from)).filter(
    (name) => /\.(so|dylib|dll)$/.test(name) && !unused.test(name),
  );
  if (names.length === 0) throw new Failure(`No libraries of llama.cpp in ${from}.`);
  const sources = names.map((name) => path.join(from, name));
  const outputs = names.map((name) => path.join(to, name));
  const stamp = target === hostTarget ? 'libraries' : `libraries-${target}`;
  await once(stamp, { files: sources, text: [String(unused)], outputs }, async () => {
    // With those of another release; what is ours is linked again.
    await rm(to, { recursive: true, force: true });
    await mkdir(to, { recursive: true });
    for (const name of names) await replace(path.join(from, name), path.join(to, name));
  });
}

async function bundle() {
  const files = ['extension', 'sidecar', 'esbuild.mjs', 'package-lock.json'].map((name) =>
    at(name),
  );
  const names = ['extension.cjs', 'sidecar.mjs', 'sightline.mjs', 'grammars', 'webview'];
  const outputs = names.map((name) => at('dist', name));
  await once('bundles', { files, outputs }, async () => {
    heading('bundles');
    await node([at('esbuild.mjs')]);
  });
}

/** Everything under dist/. */
export async function build() {
  await bootstrap();
  await copyLibraries();
  await buildAddon();
  await bundle();
}

/** Configures native/ with these settings, unless it was, and builds targets. Resolves to the folder. */
async function buildNative(name, settings, targets) {
  const folder = at('build', name);
  const configured = path.join(folder, 'build.ninja');
  await once(name, { text: settings, outputs: [configured] }, async () => {
    if (existsSync(folder)) await rm(folder, { recursive: true });
    const args = ['-S', at('native'), '-B', folder, '-G', 'Ninja', ...settings];
    await run('cmake', args);
  });
  await run('cmake', ['--build', folder, '--target', ...targets]);
  return folder;
}

/** With assertions, and lines for stack traces: full debug information takes GCC minutes. */
const forTests = (optimisation) => [
  '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
  `-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=${optimisation} -g1`,
  '-DSIGHTLINE_TESTS=ON',
];

/** Builds of the C++ tests, by name. What runs on threads is built once more. */
const nativeTestBuilds = {
  memory: {
    settings: [...forTests('-O2'), '-DSIGHTLINE_SANITIZE=address,undefined'],
    targets: ['all'],
  },
  threads: {
    settings: [...forTests('-O1'), '-DSIGHTLINE_SANITIZE=thread'],
    targets: ['test_attention', 'test_cache', 'test_cuda'],
  },
};

/** Builds the C++ tests of that name. Resolves to the folder that ctest runs them from. */
export async function buildNativeTests(name) {
  await bootstrap();
  await copyLibraries();
  heading(`native tests: ${name}`);
  const { settings, targets } = nativeTestBuilds[name];
  return buildNative(`native-tests-${name}`, settings, targets);
}

/**
 * The kernels' tests for a platform whose processor is emulated here, of the objects that are packaged. Resolves to the
 * folder that ctest runs them from.
 */
export async function buildEmulatedTests(target) {
  await bootstrap();
  await buildNativeFor(target);
  heading(`native tests: ${target}`);
  const folder = workOf(target);
  await run('cmake', ['--build', folder, '--target', 'test_attention']);
  return folder;
}

/**
 * The native part of the benchmarks (bench/native), in silence. `npm run build` comes before, since
 * they need the addon. Resolves to the program.
 */
export async function buildNativeBench() {
  const ending = process.platform === 'win32' ? '.exe' : '';
  const program = at('build/native/bench', `sightline_bench${ending}`);
  const inputs = nativeInputs();
  inputs.files.push(at('bench/native'));
  await once('bench', { ...inputs, outputs: [program] }, () =>
    buildBesides('sightline_bench', { capture: true }),
  );
  return program;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(build);
