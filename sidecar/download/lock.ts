import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often the holder says that it lives, in milliseconds. */
const beatMs = 5000;
/** One that has not said so for this long has died. */
const silentMs = 30_000;
/** How often one that waits looks, in milliseconds. */
const lookMs = 250;

/**
 * Runs `work` while nobody else on this machine does it under the same file. Waits for whoever does; `whileWaiting` is called
 * meanwhile. Rejects where the file cannot be made, or when `signal` ends the wait.
 */
export async function locked<T>(
  path: string,
  signal: AbortSignal,
  whileWaiting: () => void,
  work: () => Promise<T>,
): Promise<T> {
  const mine = `${process.pid} ${Math.random()}`;
  while (!(await take(path, mine))) {
    whileWaiting();
    await sleep(lookMs, undefined, { signal });
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => undefined);
  }, beatMs);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    // Where it was taken for dead it is somebody else's by now.
    const holder = await readFile(path, 'utf8').catch(() => '');
    if (holder === mine) await rm(path, { force: true });
  }
}

async function take(path: string, mine: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(mine);
    await file.close();
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  if (await isHeld(path)) return false;
  await rm(path, { force: true });
  return take(path, mine);
}

async function isHeld(path: string): Promise<boolean> {
  try {
    const [{ mtimeMs }, holder] = await Promise.all([stat(path), readFile(path, 'utf8')]);
    if (Date.now() - mtimeMs > silentMs) return false;
    const pid = Number.parseInt(holder, 10);
    // Without a name it is being made.
    return Number.isNaN(pid) || isAlive(pid);
  } catch {
    return false; // it is gone
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
