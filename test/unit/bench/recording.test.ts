import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { describe, it, type TestContext } from 'node:test';
import { isKey, lastKeys, readRecording } from '../../../bench/recording.ts';

const recorded = {
  startContent: '',
  endContent: 'let 😀 = 2;\n',
  txns: [
    { time: '2026-01-01T10:00:00.000Z', patches: [[0, 0, 'lt 😀 = 1\n']] },
    { time: '2026-01-01T10:00:01.000Z', patches: [[1, 0, 'e']] },
    // From the end on, as several cursors are recorded.
    {
      time: '2026-01-01T10:00:02.000Z',
      patches: [
        [8, 1, '2'],
        [5, 0, ''],
      ],
    },
    { time: '2026-01-01T10:00:03.000Z', patches: [[9, 0, ';']] },
  ],
};

function fileOf(t: TestContext, name: string, text: string): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'recording-'));
  t.after(() => {
    fs.rmSync(folder, { recursive: true });
  });
  const file = path.join(folder, name);
  fs.writeFileSync(file, name.endsWith('.gz') ? zlib.gzipSync(text) : text);
  return file;
}

describe('a recorded session', () => {
  it('is read from a file, compressed or not, with offsets in UTF-16', (t) => {
    const text = JSON.stringify(recorded);
    const recording = readRecording(fileOf(t, 'typed.json.gz', text));
    assert.deepEqual(readRecording(fileOf(t, 'typed.json', text)), recording);
    assert.equal(recording.after, recorded.endContent);
    assert.deepEqual(recording.steps.map(isKey), [false, true, false, true]);
    assert.deepEqual(recording.steps[3], [{ offset: 10, removed: '', inserted: ';' }]);
  });

  it('is replayed from its last keys on', (t) => {
    const recording = readRecording(fileOf(t, 'typed.json', JSON.stringify(recorded)));
    assert.equal(lastKeys(recording, 1).before, 'let 😀 = 2\n');
    assert.equal(lastKeys(recording, 2).before, 'lt 😀 = 1\n');
    assert.equal(lastKeys(recording, 2).steps.length, 3);
    assert.deepEqual(lastKeys(recording, 100), recording);
  });

  it('is refused where it leads elsewhere, has patches outside of the text, or is something else', (t) => {
    const refused = (changed: object): void => {
      const file = fileOf(t, 'typed.json', JSON.stringify({ ...recorded, ...changed }));
      assert.throws(() => readRecording(file));
    };
    refused({ endContent: 'let x = 2;\n' });
    refused({ txns: [{ patches: [[1, 0, 'a']] }] });
    refused({ txns: [{ patches: [[0, -1, 'a']] }] });
    refused({ txns: undefined });
  });
});
