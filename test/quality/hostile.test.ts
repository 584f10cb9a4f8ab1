/** Model files that are not what they should be: a clear rejection each, and never a crash. */
import { strict as assert } from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { modelFile } from '../fixtures/models/generate.ts';
import { hostileFiles, type HostileFile } from '../fixtures/models/hostile.ts';
import { hostileBase } from '../fixtures/models/specs.ts';
import { spawnChild } from './support/child.ts';
import { full, load, loadOptions, rejectsWith } from './support/engine.ts';

/** Outcome of each file by number; a crash is an outcome too. */
function loadAll(count: number): Map<number, string> {
  const outcomes = new Map<number, string>();
  for (let first = 0; first < count;) {
    const child = spawnChild('load-hostile', [String(first)]);
    for (const [, index, outcome] of child.stdout.matchAll(/^end (\d+) (.*)$/gm))
      outcomes.set(Number(index), outcome ?? '');
    const started = [...child.stdout.matchAll(/^start (\d+)/gm)].map(([, index]) => Number(index));
    const last = started.at(-1) ?? first;
    if (!outcomes.has(last))
      outcomes.set(
        last,
        `crash (${String(child.signal ?? child.status)}) ${child.stderr.slice(-600)}`,
      );
    first = last + 1;
  }
  return outcomes;
}

const accepted: Readonly<Record<HostileFile['verdict'], RegExp>> = {
  invalid: /^MODEL_INVALID$/,
  unsupported: /^MODEL_UNSUPPORTED$/,
  harmless: /^(loaded|MODEL_INVALID|MODEL_UNSUPPORTED|OUT_OF_MEMORY|BAD_ARGUMENT)$/,
};

describe('hostile model files', () => {
  const files = [...hostileFiles(fs.readFileSync(modelFile(hostileBase)))].map(
    ({ name, verdict }) => ({ name, verdict }),
  );
  let outcomes: Map<number, string>;
  before(() => {
    outcomes = loadAll(files.length);
  });
  for (const [index, { name, verdict }] of files.entries())
    it(name, () => {
      assert.match(outcomes.get(index) ?? 'not tried', accepted[verdict]);
    });
});

describe('paths that are not model files', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sightline-'));
  after(() => {
    fs.rmSync(folder, { recursive: true });
  });
  for (const [name, modelPath] of [
    ['nothing there', path.join(folder, 'missing.gguf')],
    ['a folder', folder],
    ['an empty path', ''],
    ['a path with a zero in it', `${folder}/a\u0000b`],
  ] as const)
    it(name, async () => {
      const codes = ['MODEL_NOT_FOUND', 'MODEL_INVALID', 'BAD_ARGUMENT'] as const;
      await rejectsWith(codes, () => load(loadOptions(modelPath, full)).result);
    });
});
