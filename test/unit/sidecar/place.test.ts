import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isBeforeWord, markOf, restOf } from '../../../sidecar/completion/place.ts';
import { placeAt } from '../support/places.ts';

describe('restOf', () => {
  const restAt = (completion: string, then: string, now: string) =>
    restOf(completion, markOf(placeAt(then)), placeAt(now));

  it('takes brackets and quotes into account that the editor has closed', () => {
    assert.deepEqual(restAt('first(b);', 'a = |\n', 'a = first(|)\n'), {
      text: 'b);',
      replaces: 1,
    });
    assert.deepEqual(restAt("f(['x']);", '|\n', "f(['|'])\n"), { text: "x']);", replaces: 3 });
    assert.deepEqual(restAt('f(b);', '|\n', 'f(b)|\n'), { text: ';', replaces: 0 });
    // The bracket is not of the completion, or something else than a bracket.
    assert.equal(restAt('first', '|\n', 'f|)\n'), undefined);
    assert.equal(restAt('first;', '|\n', 'f|;\n'), undefined);
    assert.equal(restAt('f()', '|)\n', 'f(|}))\n'), undefined);
  });

  it('knows a line end by any name', () => {
    assert.deepEqual(restAt('a\r\nb', '|\r\n', 'a\r\n|\r\n'), { text: 'b', replaces: 0 });
    assert.deepEqual(restAt('a\nb', '|', 'a\r\n|'), { text: 'b', replaces: 0 });
  });

  it('is of the same document only, and of nothing after the end', () => {
    const mark = markOf(placeAt('|'));
    assert.equal(restOf('ab', mark, placeAt('a|', 'file:///b.ts')), undefined);
    assert.equal(restAt('ab', '|', 'ab|'), undefined);
  });
});

describe('isBeforeWord', () => {
  it('says where typing changes a word', () => {
    for (const source of ['na|me', '|name', 'a.|b', '|1', '|é', '|$x', '|𝒳'])
      assert.ok(isBeforeWord(placeAt(source)), source);
    for (const source of ['name|', 'name| b', 'f(|)', 'a|.b', '|\n', '|'])
      assert.ok(!isBeforeWord(placeAt(source)), source);
  });
});
