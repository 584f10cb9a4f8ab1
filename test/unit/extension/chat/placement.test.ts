import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { placeCode } from '../../../../extension/chat/placement.ts';

/** `text` has the selection between two `|`, or the cursor at one. */
function placed(marked: string, code: string): string {
  const start = marked.indexOf('|');
  const second = marked.indexOf('|', start + 1);
  const text = marked.replaceAll('|', '');
  const place = placeCode(text, code, { start, end: second === -1 ? start : second - 1 });
  return text.slice(0, place.start) + place.text + text.slice(place.end);
}

describe('placeCode', () => {
  it('takes the place of the selection, as far in as it was', () => {
    assert.equal(placed('a\n|  b\n  c\n|d\n', 'x\n  y\n'), 'a\n  x\n    y\nd\n');
    assert.equal(placed('a\n  |b|\nc\n', 'x\ny\n'), 'a\n  x\n  y\nc\n');
    assert.equal(placed('f(|1 + 2|)\n', '3\n'), 'f(3)\n');
    assert.equal(placed('|a\n\n|b\n', 'x'), 'x\n\nb\n');
  });

  it('takes the place of the lines that it is another version of', () => {
    const text =
      'function one() {\n  a();\n}\n\n  function two() {\n    b();\n    if (c) {\n    }\n  }\n|';
    assert.equal(
      placed(text, 'function two() {\n  z();\n}\n'),
      'function one() {\n  a();\n}\n\n  function two() {\n    z();\n  }\n',
    );
    assert.equal(
      placed('def f(x):\n    return x\n\nother = 1\n|', 'def f(x):\n    y = 1\n    return x\n'),
      'def f(x):\n    y = 1\n    return x\n\nother = 1\n',
    );
  });

  it('takes the place of all where it has most of it', () => {
    const text = 'import a\nimport b\n\nrun(a)\nrun(b)\nprint(x)\n|';
    const code = 'import a\nimport b\nimport c\n\nrun(a)\nrun(b)\nrun(c)\n';
    assert.equal(placed(text, code), code);
  });

  it('goes to the cursor where it is new, on lines of its own', () => {
    assert.equal(
      placed('class A {\n  one;|\n}\n', 'two;\nthree;\n'),
      'class A {\n  one;\n  two;\n  three;\n}\n',
    );
    assert.equal(placed('a\n  |\nb\n', 'x\n'), 'a\n  x\nb\n');
    assert.equal(placed('|', 'x\n'), 'x');
  });

  it('leaves lines alone where it is not clear which are meant', () => {
    const twice = 'if (a) {\n  b();\n}\nif (a) {\n  c();\n}\n|';
    assert.ok(placed(twice, 'if (a) {\n  d();\n}\n').startsWith(twice.replace('|', '')));
  });

  it('ends lines as the document does', () => {
    assert.equal(placed('a\r\n|b|\r\nc\r\n', 'x\ny\n'), 'a\r\nx\r\ny\r\nc\r\n');
    assert.equal(
      placed('fun one() {\r\n  a\r\n}\r\nlast\r\n|', 'fun one() {\n  b\n}\n'),
      'fun one() {\r\n  b\r\n}\r\nlast\r\n',
    );
  });
});
