import { strict as assert } from 'node:assert';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import path from 'node:path';

/** Runs `children/NAME.ts` to its end. Fails the test unless it exits with 0. */
export function runChild(name: string, args: readonly string[]): SpawnSyncReturns<string> {
  const child = spawnChild(name, args);
  assert.equal(
    child.status,
    0,
    `${name}: ${String(child.signal ?? child.status)}\n${child.stderr}`,
  );
  return child;
}

/** Runs `children/NAME.ts` to its end, however that comes about. */
export function spawnChild(name: string, args: readonly string[]): SpawnSyncReturns<string> {
  const program = path.resolve(import.meta.dirname, '../children', `${name}.ts`);
  const command = ['--expose-gc', '--import', 'tsx', program, ...args];
  // One arena for all threads of glibc: what it keeps for each thread looks like a leak.
  const env = { ...process.env, MALLOC_ARENA_MAX: '1' };
  return spawnSync(process.execPath, command, { encoding: 'utf8', timeout: 300_000, env });
}
