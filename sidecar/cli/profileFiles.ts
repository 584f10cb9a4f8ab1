import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ModelInfo, Profile } from '../engine/addon.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { exitCodes } from '../exit.ts';
import type { ProfileReport } from '../profile/report.ts';
import { traceOf } from '../profile/trace.ts';
import { writeWhole } from '../wholeFile.ts';
import { writingFailed } from './files.ts';
import { say } from './output.ts';

/** Where they go where no other folder is named. */
export const profileFolder = 'outputs';

export const profileJson = (report: ProfileReport): string =>
  `${JSON.stringify(report, null, 2)}\n`;

/** Writes a profile as a trace, and its report for programs. Resolves to the exit code; what is wrong was said. */
export async function writeProfile(
  info: ModelInfo,
  { modelPath, cache }: EngineOptions,
  profile: Profile,
  report: ProfileReport,
  folder: string,
): Promise<number> {
  const name = `profile-${basename(modelPath, '.gguf')}-${cache.policy}`;
  const trace = traceOf(profile, report.promptTokens, info.name, {
    model: info.name,
    cache: JSON.stringify(cache),
    kernels: info.kernels,
    threads: String(info.threads),
  });
  try {
    await mkdir(folder, { recursive: true });
    for (const [file, text] of [
      [`${name}.trace.json`, JSON.stringify(trace)],
      [`${name}.json`, profileJson(report)],
    ] as const) {
      const path = join(folder, file);
      await writeWhole(path, text);
      say(`wrote ${path}`);
    }
  } catch (error) {
    const reason = writingFailed(error);
    if (reason === undefined) throw error;
    say(reason);
    return exitCodes.notWritten;
  }
  return exitCodes.done;
}
