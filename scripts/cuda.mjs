/** The CUDA kernels by nvcc, where there is one. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { at } from './lib/shell.mjs';

/** Compute capabilities that get code of their own; newer ones compile the newest one's PTX. */
export const architectures = [75, 80, 86, 89, 90, 100, 120];

/** The sources, without their ending, and what nvcc is told of each. */
const sourceOptions = {
  append: [],
  attend: [],
  // Bit by bit what the CPU's encoders and decoders give.
  code: ['-fmad=false'],
  restore: ['-fmad=false'],
};
export const kernelSources = Object.keys(sourceOptions);

/** Path of nvcc: under CUDA_HOME or CUDA_PATH, on the PATH, or where its packages put it. */
export function findNvcc() {
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, '/usr/local/cuda', '/usr/lib/cuda'];
  const folders = [
    ...homes.filter(Boolean).map((home) => path.join(home, 'bin')),
    ...(process.env.PATH ?? '').split(path.delimiter),
  ];
  const name = process.platform === 'win32' ? 'nvcc.exe' : 'nvcc';
  return folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
}

/**
 * Compiles a source for one architecture into a cubin. Resolves to what ptxas says of its kernels.
 * @param {{ nvcc: string, source: string, architecture: number, output: string }} work
 */
export async function compileCubin({ nvcc, source, architecture, output }) {
  const { stderr } = await promisify(execFile)(nvcc, [
    ...['-std=c++20', '--expt-relaxed-constexpr', '-O3', '-Werror=all-warnings'],
    ...['-I', at('native'), `-arch=sm_${architecture}`, '-cubin', '-Xptxas', '-v'],
    ...sourceOptions[source],
    ...['-o', output, at('native/attention/cuda', `${source}.cu`)],
  ]);
  return stderr;
}
