import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { looksLikeFile, mentionOf, parseMentions } from '../../../../extension/chat/mentions.ts';

const paths = (question: string): string[] =>
  parseMentions(question).map(({ path, lines }) =>
    lines === undefined ? path : `${path} ${lines.first}-${lines.last}`,
  );

describe('parseMentions', () => {
  it('finds files, folders, lines and names with spaces', () => {
    assert.deepEqual(paths('#a.ts'), ['a.ts']);
    assert.deepEqual(paths('Compare #src/a.ts with (#lib/b.py), please'), ['src/a.ts', 'lib/b.py']);
    assert.deepEqual(paths('All of #src/parts/ and #"my file.ts":'), ['src/parts/', 'my file.ts']);
    assert.deepEqual(paths('#a.ts:10-20 #a.ts:7 #"b c.ts:3-2"'), [
      'a.ts 9-19',
      'a.ts 6-6',
      'b c.ts 1-2',
    ]);
    assert.deepEqual(paths('#a.ts:0'), ['a.ts 0-0']);
  });

  it('ends a name before the end of a sentence', () => {
    assert.deepEqual(paths('Why #a.ts? And #b.ts. Or #c.ts! #d.ts: so'), [
      'a.ts',
      'b.ts',
      'c.ts',
      'd.ts',
    ]);
  });

  it('finds none in words, headings, addresses, code and alone', () => {
    assert.deepEqual(paths('a#b C# https://x.y/#z &#65; ## heading # alone #'), []);
    assert.deepEqual(paths('`#include <a.h>` and\n```c\n#include "b.h"\n```\nand #c.ts'), ['c.ts']);
    assert.deepEqual(paths('```\n#never.closed'), []);
    assert.deepEqual(paths(''), []);
  });

  it('says where they stand', () => {
    const question = 'See #a.ts, and #"b c".';
    for (const { start, end, path } of parseMentions(question)) {
      assert.ok(['#a.ts', '#"b c"'].includes(question.slice(start, end)), path);
    }
  });

  it('reads what mentionOf writes', () => {
    for (const path of ['a.ts', 'src/b c.ts', 'x(1).ts', 'ends.', 'ü/ß.ts', 'a,b.ts', 'src/']) {
      assert.deepEqual(paths(`See ${mentionOf(path)} now`), [path], path);
    }
  });

  it('is quick on hostile questions', () => {
    assert.equal(paths('#'.repeat(50_000)).length, 0);
    assert.equal(paths('`'.repeat(50_001)).length, 0);
    assert.equal(paths(`#"${'a '.repeat(50_000)}`).length, 0);
  });
});

describe('looksLikeFile', () => {
  it('knows what is meant as one', () => {
    for (const path of ['a.ts', 'src/a', 'Makefile.am']) assert.ok(looksLikeFile(path), path);
    for (const path of ['12', 'include', '3.14', 'fff']) assert.ok(!looksLikeFile(path), path);
  });
});
