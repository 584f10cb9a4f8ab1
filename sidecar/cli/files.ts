import { rename, rm, writeFile } from 'node:fs/promises';

/** Writes a file whole or not at all; rejects where there is no room for it. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** A line for the user where a file could not be written; undefined for any other error. */
export function writingFailed(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT')
    return `the disk is full: ${error.message}. Make room, or name another folder with --out`;
  const refused = ['EACCES', 'EROFS', 'EPERM', 'ENOTDIR', 'EEXIST', 'EISDIR', 'ENOENT'];
  return refused.includes(String(error.code))
    ? `${error.message}. Name another folder with --out`
    : undefined;
}
