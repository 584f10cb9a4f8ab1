/** The native part of the benchmarks (bench/native), built on first use. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { buildNativeBench } from '../scripts/build.mjs';

let building: Promise<string> | undefined;

/** Path of the program. */
export function nativeProgram(): Promise<string> {
  return (building ??= buildNativeBench());
}

const bandwidthReport = z.object({ bytesPerSecond: z.number().positive() });

/** Bytes per second that as many threads read from memory, at best. */
export async function readBandwidth(threads: number): Promise<number> {
  const program = await nativeProgram();
  const { stdout } = await promisify(execFile)(program, ['bandwidth', '--threads', `${threads}`]);
  return bandwidthReport.parse(JSON.parse(stdout)).bytesPerSecond;
}
