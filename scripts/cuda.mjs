/** The CUDA kernels by nvcc, where there is one. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { at, heading } from './lib/shell.mjs';
import { filesUnder, once } from './lib/stamp.mjs';

/** Compute capabilities that get code of their own; newer ones compile the newest one's PTX. */
export const architectures = [75, 80, 86, 89, 90, 100, 120];
const newest = Math.max(...architectures);

/** The sources, without their ending, and what nvcc is told of each. */
const sourceOptions = {
  append: [],
  attend: [],
  // Bit by bit what the CPU's encoders and decoders give.
  code: ['-fmad=false'],
  observe: [],
  restore: ['-fmad=false'],
};
export const kernelSources = Object.keys(sourceOptions);

const folder = at('build/cuda');

/** Of a source: its code for one architecture, what ptxas says of it, and all architectures in one. */
export const cubinOf = (source, architecture) =>
  path.join(folder, `${source}_${architecture}.cubin`);
export const ptxasReportOf = (source, architecture) =>
  path.join(folder, `${source}_${architecture}.txt`);
const ptxOf = (source) => path.join(folder, `${source}.ptx`);
const fatbinOf = (source) => path.join(folder, `${source}.fatbin`);

/**
 * Path of nvcc on Linux, the only platform that models run on GPUs on so far: under CUDA_HOME or
 * CUDA_PATH, on the PATH, or where its packages put it.
 */
export function findNvcc() {
  if (process.platform !== 'linux') return undefined;
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda', '/usr/lib/cuda'];
  const folders = [
    ...homes.filter(Boolean).map((home) => path.join(home, 'bin')),
    ...(process.env.PATH ?? '').split(path.delimiter),
  ];
  return folders.map((folder) => path.join(folder, 'nvcc')).find((file) => existsSync(file));
}

const execute = promisify(execFile);

const compile = (nvcc, source, options) =>
  execute(nvcc, [
    ...['-std=c++20', '--expt-relaxed-constexpr', '-O3', '-Werror=all-warnings'],
    ...['-I', at('native'), ...sourceOptions[source], ...options],
    at('native/attention/cuda/kernels', `${source}.cu`),
  ]);

async function compileCubin(nvcc, source, architecture) {
  const output = cubinOf(source, architecture);
  const options = [`-arch=sm_${architecture}`, '-cubin', '-Xptxas', '-v', '-o', output];
  const { stderr } = await compile(nvcc, source, options);
  await writeFile(ptxasReportOf(source, architecture), stderr);
}

/** Runs tasks, as many at a time as there are processors. */
async function runAll(tasks) {
  const rest = [...tasks];
  const worker = async () => {
    for (let task = rest.shift(); task !== undefined; task = rest.shift()) await task();
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/**
 * Compiles the kernels for every architecture. Resolves to the folder of the fatbins, one for each
 * source; undefined: there is no nvcc.
 */
export async function buildKernels() {
  const nvcc = findNvcc();
  if (nvcc === undefined) return undefined;
  const sources = filesUnder(at('native/attention')).filter(
    (file) => /\.(cu|h)$/.test(file) && !/[\\/](cpu|emulator|reference)[\\/]/.test(file),
  );
  const { stdout: version } = await execute(nvcc, ['--version']);
  const outputs = kernelSources.flatMap((source) => [
    fatbinOf(source),
    ...architectures.map((architecture) => cubinOf(source, architecture)),
  ]);
  const inputs = { files: [...sources, at('scripts/cuda.mjs')], text: [version], outputs };
  await once('cuda', inputs, async () => {
    heading(`CUDA kernels for sm_${architectures.join(', sm_')}`);
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    await runAll(
      // The longest first.
      [...kernelSources]
        .sort((a, b) => Number(b === 'attend') - Number(a === 'attend'))
        .flatMap((source) => [
          ...architectures.map((architecture) => () => compileCubin(nvcc, source, architecture)),
          () => compile(nvcc, source, [`-arch=compute_${newest}`, '-ptx', '-o', ptxOf(source)]),
        ]),
    );
    for (const source of kernelSources) {
      await execute(path.join(path.dirname(nvcc), 'fatbinary'), [
        ...['--64', '--compress-all', `--create=${fatbinOf(source)}`],
        ...architectures.map((sm) => `--image3=kind=elf,sm=${sm},file=${cubinOf(source, sm)}`),
        `--image3=kind=ptx,sm=${newest},file=${ptxOf(source)}`,
      ]);
    }
  });
  return folder;
}
