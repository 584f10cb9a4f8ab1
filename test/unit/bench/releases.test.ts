import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { edited, editsBetween, releases, type Edit } from '../../../bench/releases.ts';

const made = (before: string, edits: readonly Edit[]): string =>
  edits.reduce((text, edit) => {
    const { offset, removed } = edit;
    assert.equal(text.slice(offset, offset + removed.length), removed);
    return edited(text, edit);
  }, before);

describe('editsBetween', () => {
  it('takes what was removed and what came in its place as one edit, from the top on', () => {
    const [before, after] = ['a\nb\nc\nd\n', 'a\nB\nB\nc\nd\ne\n'];
    const edits = editsBetween(before, after);
    assert.deepEqual(edits, [
      { offset: 2, removed: 'b\n', inserted: 'B\nB\n' },
      { offset: 10, removed: '', inserted: 'e\n' },
    ]);
    assert.equal(made(before, edits), after);
    assert.deepEqual(editsBetween(before, before), []);
    assert.equal(made('', editsBetween('', after)), after);
    assert.equal(made(before, editsBetween(before, '')), '');
  });

  it('makes of every older file what was released', () => {
    for (const { name, versions, files } of releases()) {
      assert.match(versions, /^\d+\.\d+\.\d+ to \d+\.\d+\.\d+$/);
      for (const { before, after } of files) {
        const edits = editsBetween(before, after);
        assert.ok(edits.length > 5, name);
        assert.equal(made(before, edits), after);
      }
    }
  });
});
