import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  dropBlankEnd,
  dropLoop,
  dropRepeatedTail,
  dropUnfinishedLine,
  trimCompletion,
} from '../../../sidecar/completion/trim.ts';

const plain = { restOfLine: '', lineEnd: '\n' } as const;

describe('trimCompletion', () => {
  it('drops blank lines at the end and nothing else', () => {
    assert.equal(dropBlankEnd('a\n  b\n\n   \n'), 'a\n  b');
    assert.equal(dropBlankEnd('a\r\n\r\n'), 'a');
    assert.equal(dropBlankEnd('a  '), 'a  ');
    assert.equal(dropBlankEnd('\n  a'), '\n  a');
  });

  it('offers nothing for white space', () => {
    assert.equal(trimCompletion(' \n\t\n', false, plain), '');
    assert.equal(trimCompletion('   ', true, plain), '');
  });

  it('drops an unfinished line after whole ones', () => {
    assert.equal(dropUnfinishedLine('a\nb\n  c'), 'a\nb\n');
    assert.equal(dropUnfinishedLine('abc'), 'abc');
    assert.equal(dropUnfinishedLine('\n  abc'), '\n  abc');
  });

  it('keeps one round of a loop', () => {
    assert.equal(dropLoop('f(a, context, context, context'), 'f(a, context');
    assert.equal(dropLoop("{\n  a: 'b',\n  a: 'b',\n  a: 'b',\n"), "{\n  a: 'b',");
    assert.equal(dropLoop('a ? b : a ? b : a ? b : a'), 'a ? b : ');
    for (const fine of ['', 'a', 'value = value', 'x = [0, 0];', '// -----------', 'a        ']) {
      assert.equal(dropLoop(fine), fine);
    }
  });

  it('cuts only an answer that ran into its bound', () => {
    const answer = 'a(\n  b,\n  c';
    assert.equal(trimCompletion(answer, true, plain), 'a(\n  b,');
    assert.equal(trimCompletion(answer, false, plain), answer);
    assert.equal(trimCompletion('x, x, x, x', false, plain), 'x, x, x, x');
  });

  // text, rest of line, what stays
  for (const [text, rest, expected] of [
    ['bar)', ')', 'bar'],
    ['bar);', ');', 'bar'],
    ['hello")', '")', 'hello'],
    ['foo(a)', ')', 'foo(a)'],
    ['[1, 2]', ']', '[1, 2]'],
    ['"a"', '"', '"a"'],
    ['b, c) {', ') {', 'b, c'],
    ['value;', '', 'value;'],
    ['value', ';', 'value'],
    ['a\nb)', ')', 'a\nb'],
    ['x = 1', ' = 1 + 2', 'x'],
  ] as const) {
    it(`${JSON.stringify(text)} before ${JSON.stringify(rest)}`, () => {
      assert.equal(dropRepeatedTail(text, rest), expected);
    });
  }

  it('uses the line ends of the document', () => {
    const crlf = { restOfLine: '', lineEnd: '\r\n' } as const;
    assert.equal(trimCompletion('a\nb\r\nc\n', false, crlf), 'a\r\nb\r\nc');
    assert.equal(trimCompletion('a\r\nb', false, plain), 'a\nb');
  });
});
