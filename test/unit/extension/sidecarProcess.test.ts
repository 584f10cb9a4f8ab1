import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startSidecar } from '../../../extension/sidecarProcess.ts';

describe('startSidecar', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sightline-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Runs `program` in the place of the sidecar. */
  const start = async (
    program: string,
    onLine: (line: string) => void = () => undefined,
  ): Promise<ReturnType<typeof startSidecar>> => {
    const path = join(folder, 'program.mjs');
    await writeFile(path, program);
    return startSidecar(path, onLine);
  };

  it('runs as plain Node, speaks LSP on stdio, and says how it ended', async () => {
    const lines: string[] = [];
    const sidecar = await start(
      'console.error(process.env.ELECTRON_RUN_AS_NODE, process.argv[2]); process.exitCode = 3;',
      (line) => lines.push(line),
    );
    assert.equal(await sidecar.ended, 'exit code 3');
    assert.deepEqual(lines, ['1 --stdio']);
    assert.deepEqual(sidecar.lastLines, ['1 --stdio']);
  });

  it('keeps the last 100 lines of stderr', async () => {
    const sidecar = await start('for (let i = 0; i < 250; i++) console.error(`line ${i}`);');
    await sidecar.ended;
    assert.equal(sidecar.lastLines.length, 100);
    assert.equal(sidecar.lastLines[0], 'line 150');
    assert.equal(sidecar.lastLines[99], 'line 249');
  });

  it('names the signal that killed it', async () => {
    const sidecar = await start('process.stdin.resume();');
    sidecar.child.kill('SIGKILL');
    assert.equal(await sidecar.ended, 'signal SIGKILL');
  });
});
