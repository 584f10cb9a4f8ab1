/** The native part of the benchmarks (bench/native), built on first use. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { z } from 'zod';
import { buildNativeBench } from '../scripts/build.mjs';
import { loadAddon } from '../sidecar/engine/load.ts';

let building: Promise<string> | undefined;

/** Path of the program. */
export function nativeProgram(): Promise<string> {
  return (building ??= buildNativeBench());
}

/** A run of the program that answers a line for every line it gets. */
export interface NativeProcess {
  ask(line: string): Promise<string>;
  close(): Promise<void>;
}

export type Settings = Readonly<Record<string, string | number>>;

export async function startNative(command: string, settings: Settings): Promise<NativeProcess> {
  const child = spawn(await nativeProgram(), [command, ...argumentsOf(settings)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.stdin.on('error', () => undefined); // that it has ended shows in the missing answer
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    ask: async (line) => {
      child.stdin.write(`${line}\n`);
      const answer = await answers.next();
      if (answer.done === true) throw new Error(`${command} ended at "${line}"`);
      return answer.value;
    },
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}

/** Folder of llama.cpp's libraries. */
export function llamaLibraries(): string {
  const loaded = loadAddon();
  if (!loaded.ok) throw new Error(loaded.error.message);
  return loaded.value.librariesPath;
}

const bandwidthReport = z.object({ bytesPerSecond: z.number().positive() });

/** Bytes per second that as many threads read from memory, at best. */
export async function readBandwidth(threads: number): Promise<number> {
  return (await report('bandwidth', { threads }, bandwidthReport)).bytesPerSecond;
}

const kernelsReport = z.object({ kernels: z.array(z.string()) });

/** Names of the attention kernels that run here, fastest first. */
export async function kernelNames(): Promise<readonly string[]> {
  return (await report('kernels', {}, kernelsReport)).kernels;
}

const cudaBytesReport = z.object({
  needed: z.number().positive(),
  read: z.number().positive(),
  written: z.number().positive(),
  sharedBytes: z.number().positive(),
});

/** What CUDA's decode kernel reads and writes of global memory for one KV head, in bytes. */
export type CudaBytes = z.infer<typeof cudaBytesReport>;

/** Counted by the emulator. */
export async function countCudaBytes(settings: Settings): Promise<CudaBytes> {
  return report('cuda-bytes', settings, cudaBytesReport);
}

async function report<T>(command: string, settings: Settings, schema: z.ZodType<T>): Promise<T> {
  const program = await nativeProgram();
  const { stdout } = await promisify(execFile)(program, [command, ...argumentsOf(settings)]);
  return schema.parse(JSON.parse(stdout));
}

function argumentsOf(settings: Settings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
}
