import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { excerptAt } from '../../../sidecar/completion/excerpt.ts';

describe('excerptAt', () => {
  it('takes a whole small document', () => {
    assert.deepEqual(excerptAt('ab\ncd', 3, 100), {
      prefix: 'ab\n',
      suffix: 'cd',
      start: 0,
      cursor: 3,
      end: 5,
      after: 0,
      endsInSpace: false,
      lineEnd: '\n',
    });
    assert.equal(excerptAt('', 0, 100).prefix, '');
  });

  it('shows CRLF as LF and says so', () => {
    const excerpt = excerptAt('a\r\nb\r\nc', 4, 100);
    assert.equal(excerpt.prefix, 'a\nb');
    assert.equal(excerpt.suffix, '\nc');
    assert.equal(excerpt.lineEnd, '\r\n');
  });

  it('splits neither a surrogate pair nor a CRLF', () => {
    assert.equal(excerptAt('x😀y', 2, 100).prefix, 'x');
    assert.equal(excerptAt('x😀y', 2, 100).suffix, '😀y');
    assert.equal(excerptAt('x\r\ny', 2, 100).prefix, 'x');
    const cut = excerptAt('😀'.repeat(50), 50, 5);
    for (const side of [cut.prefix, cut.suffix]) assert.equal(Buffer.from(side).toString(), side);
  });

  it('clamps an offset outside the document', () => {
    assert.equal(excerptAt('abc', 99, 100).prefix, 'abc');
    assert.equal(excerptAt('abc', -1, 100).suffix, 'abc');
  });

  it('bounds what it takes of a huge document and counts the rest', () => {
    const text = 'abcdefgh'.repeat(100_000);
    const { prefix, suffix, start, end, after } = excerptAt(text, 400_000, 1000);
    assert.ok(prefix.length >= 1000 && prefix.length < 1250);
    assert.equal(suffix.length, 1000);
    assert.equal(start + prefix.length, 400_000);
    assert.equal(end, 401_000);
    assert.equal(suffix.length + after, 400_000);
  });

  it('keeps its start while the cursor moves within a quarter of its reach', () => {
    const text = 'x'.repeat(10_000);
    const starts = new Set<number>();
    for (let offset = 5000; offset < 5250; offset++)
      starts.add(excerptAt(text, offset, 1000).start);
    assert.deepEqual([...starts], [4000]);
  });
});
