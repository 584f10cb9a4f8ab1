import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fail, succeed, type Result } from '../result.ts';

/** Writes a file of results, whole or not at all; what was there before is replaced. Resolves to its path. The error is a line for the user. */
export async function writeOutput(
  folder: string,
  name: string,
  text: string,
): Promise<Result<string, string>> {
  const path = join(folder, name);
  const temporary = join(folder, `.${name}.${randomUUID()}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(temporary, text);
    await rename(temporary, path);
    return succeed(path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    return fail(`${path} cannot be written: ${reasonOf(error)}`);
  }
}

/** Why, and what to do. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return 'the disk has no room left. Make room on it, or choose another folder with --out';
  const message = error instanceof Error ? error.message : String(error);
  return `${message}. Choose another folder with --out`;
}
