import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  fenced,
  firstCodeBlock,
  indented,
  indentOf,
  replacementFor,
} from '../../../../extension/actions/code.ts';

describe('firstCodeBlock', () => {
  for (const [what, answer, code] of [
    ['with a language', 'Sure:\n```ts\nlet a;\n```\nDone.', ['let a;']],
    ['the first of several', '```\na\n```\n```\nb\n```', ['a']],
    ['of tildes', '~~~python\na = 1\n~~~', ['a = 1']],
    ['with a shorter fence in it', '````md\n```\na\n```\n````', ['```', 'a', '```']],
    ['with the other fence in it', '```md\n~~~\na\n~~~\n```', ['~~~', 'a', '~~~']],
    ['with CRLF', 'x\r\n```js\r\na\r\n\r\nb\r\n```\r\n', ['a', '', 'b']],
    [
      'that is indented',
      '1. So:\n\n   ```js\n   if (a) {\n     b();\n   }\n   ```',
      ['if (a) {', '  b();', '}'],
    ],
    ['that is empty', '```\n```', []],
    ['with a line that only looks like its end', '```\n``` not the end\n```', ['``` not the end']],
  ] as const) {
    it(`is taken out of an answer: one ${what}`, () => {
      assert.deepEqual(firstCodeBlock(answer), { code, isWhole: true });
    });
  }

  it('is known to be cut off', () => {
    assert.deepEqual(firstCodeBlock('```ts\nlet a;\nlet'), {
      code: ['let a;', 'let'],
      isWhole: false,
    });
  });

  it('is not there without a fence', () => {
    for (const answer of [
      '',
      'let a;',
      'use `let` and ``const``',
      '``` inline ``` code',
      '    ```\n    a',
    ]) {
      assert.equal(firstCodeBlock(answer), undefined, answer);
    }
  });

  it('is what was fenced, whatever that is', () => {
    for (const lines of [['a'], ['```', 'a', '```'], ['  ````js', 'a'], ['~~~', '', '`']]) {
      assert.deepEqual(firstCodeBlock(`Look:\n${fenced(lines, 'md')}\nso`)?.code, lines);
    }
  });
});

describe('indentation', () => {
  it('is what all lines have in common', () => {
    assert.equal(indentOf(['    a', '', '      b', ' ', '    c']), '    ');
    assert.equal(indentOf(['\ta', '\t\tb']), '\t');
    assert.equal(indentOf(['\ta', '  b']), '');
    assert.equal(indentOf(['', '  ']), '');
  });

  it('is exchanged for another, and blank lines have none', () => {
    assert.deepEqual(indented(['  a', '', '    b'], '\t'), ['\ta', '', '\t  b']);
  });

  it('of the code is kept, however the answer is indented', () => {
    const code = ['    if (a) {', '      b();', '    }'];
    for (const indent of ['', '  ', '    ', '\t']) {
      const answer = ['if (a && c) {', '  b();', '}'].map((line) => indent + line);
      assert.deepEqual(replacementFor(code, answer), ['    if (a && c) {', '      b();', '    }']);
    }
  });
});

describe('replacementFor', () => {
  it('keeps the blank lines around the code', () => {
    assert.deepEqual(replacementFor(['', '  a', '', ''], ['', '', 'b', '']), ['', '  b', '', '']);
  });

  it('is nothing where the answer is, and all of it where nothing was', () => {
    assert.deepEqual(replacementFor(['', 'a', ''], ['']), ['', '']);
    assert.deepEqual(replacementFor([''], ['a', 'b']), ['a', 'b']);
  });
});
