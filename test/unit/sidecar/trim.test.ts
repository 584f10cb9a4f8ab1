import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  dropBlankEnd,
  dropRepeatedTail,
  trimCompletion,
} from '../../../sidecar/completion/trim.ts';

describe('trimCompletion', () => {
  it('drops blank lines at the end and nothing else', () => {
    assert.equal(dropBlankEnd('a\n  b\n\n   \n'), 'a\n  b');
    assert.equal(dropBlankEnd('a\r\n\r\n'), 'a');
    assert.equal(dropBlankEnd('a  '), 'a  ');
    assert.equal(dropBlankEnd('\n  a'), '\n  a');
  });

  it('offers nothing for white space', () => {
    assert.equal(trimCompletion(' \n\t\n', ''), '');
    assert.equal(trimCompletion('   ', ''), '');
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
    assert.equal(trimCompletion('a\nb\r\nc\n', '', '\r\n'), 'a\r\nb\r\nc');
    assert.equal(trimCompletion('a\r\nb', '', '\n'), 'a\nb');
  });
});
