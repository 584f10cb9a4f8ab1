/** A case is a document with what the model wrote between ‹ and ›, and the same with what is offered of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filterCompletion } from '../../../sidecar/completion/filter.ts';
import { dropBlankEnd } from '../../../sidecar/completion/filters/blankEnd.ts';
import { dropLinesBelow } from '../../../sidecar/completion/filters/linesBelow.ts';
import { dropLoop } from '../../../sidecar/completion/filters/loop.ts';
import { keepOneLine } from '../../../sidecar/completion/filters/oneLine.ts';
import { dropRepeatedTail } from '../../../sidecar/completion/filters/repeatedTail.ts';
import { stayInScope } from '../../../sidecar/completion/filters/scope.ts';
import { dropUnfinishedLine } from '../../../sidecar/completion/filters/unfinishedLine.ts';

interface Place {
  readonly before: string;
  readonly text: string;
  readonly after: string;
  readonly restOfLine: string;
}

function parse(document: string): Place {
  const [, before = '', text = '', after = ''] =
    /^([^‹]*)‹([^›]*)›([^]*)$/.exec(document.replace(/^\n/, '')) ?? [];
  return { before, text, after, restOfLine: after.split('\n')[0] ?? '' };
}

function cases(
  filter: (place: Place) => string,
  all: Readonly<Record<string, readonly [written: string, offered: string]>>,
): void {
  for (const [name, [written, offered]] of Object.entries(all))
    it(name, () => {
      const place = parse(written);
      const { before, after } = place;
      assert.equal(`${before}‹${filter(place)}›${after}`, offered.replace(/^\n/, ''));
    });
}

/** Nothing is to be changed. */
const same = (document: string): readonly [string, string] => [document, document];

describe('dropBlankEnd', () => {
  cases(({ text }) => dropBlankEnd(text), {
    'drops blank lines and spaces at the end': ['‹a\n  b  \n\n   \n›', '‹a\n  b›'],
    'leaves what is before them': same('‹\n  a›'),
    'leaves white space alone': same('‹  \n›'),
  });
});

describe('dropUnfinishedLine', () => {
  cases(({ text }) => dropUnfinishedLine(text), {
    'drops it after whole ones': ['‹a\nb\n  c›', '‹a\nb\n›'],
    'leaves the only one': same('‹abc›'),
    'leaves the only one with text': same('‹\n  abc›'),
  });
});

describe('dropLoop', () => {
  cases(({ text }) => dropLoop(text), {
    'keeps one round of words': ['‹f(a, context, context, context›', '‹f(a, context›'],
    'keeps one round of lines': ["‹{\n  a: 'b',\n  a: 'b',\n  a: 'b',\n›", "‹{\n  a: 'b',›"],
    'keeps one round of terms': ['‹a ? b : a ? b : a ? b : a›', '‹a ? b : ›'],
    'leaves two of a kind': same('‹value = value›'),
    'leaves numbers': same('‹x = [0, 0];›'),
    'leaves rulers': same('‹// -----------›'),
    'leaves spaces': same('‹a        ›'),
    'leaves nothing': same('‹›'),
  });
});

describe('keepOneLine', () => {
  cases(({ text, restOfLine }) => keepOneLine(text, restOfLine), {
    'in the middle of a line': ['let a = ‹b(\n  c,\n)› + d;', 'let a = ‹b(› + d;'],
    'before what closes': ['call(‹\n  a,\n›);', 'call(‹›);'],
    'under the end of a line': ['// a‹\n  b();\n  c();›\n', '// a‹\n  b();›\n'],
  });
});

describe('stayInScope', () => {
  cases(({ text, before, after }) => stayInScope(text, before, after), {
    'ends before the next function': [
      '\nfunction a() {\n  ‹b();\n  c();\n}\n\nfunction d() {\n  e();›',
      '\nfunction a() {\n  ‹b();\n  c();\n}›',
    ],
    'leaves out a bracket that is there': [
      '\nfunction a() {\n  ‹b();\n}›\n}\n',
      '\nfunction a() {\n  ‹b();›\n}\n',
    ],
    'ends with the block in Python': [
      '\ndef a():\n    ‹b()\n    return c\n\ndef d():\n    e()›\n',
      '\ndef a():\n    ‹b()\n    return c\n›\n',
    ],
    'writes one declaration at top level': [
      '‹function a() {\n  b();\n}\n\nfunction c() {›',
      '‹function a() {\n  b();\n}›',
    ],
    'knows the block of a line that opens one': same(
      '  if (a) {‹\n    b();\n  } else {\n    c();\n  }›\n}\n',
    ),
    'starts where the cursor stands': same('class A {\n  ‹b() {\n    c();\n  }\n\n  d() {}›\n}\n'),
    'starts on a new line': same('function a() {‹\n  b();\n}›\n'),
    'leaves one line': same('  ‹a();›'),
  });
});

describe('dropLinesBelow', () => {
  cases(({ text, after }) => dropLinesBelow(text, after), {
    'drops a line that follows': [
      '\n  ‹a();\n  return total;›\n  return total;\n}\n',
      '\n  ‹a();›\n  return total;\n}\n',
    ],
    'drops all that follows': [
      '\n‹import a;\n\nimport b;\nimport c;›\nimport b;\nimport c;\n',
      '\n‹import a;\n›\nimport b;\nimport c;\n',
    ],
    'drops a bracket that closes nothing of it': [
      '\n  if (a) {\n    ‹b();\n  }›\n  }\n',
      '\n  if (a) {\n    ‹b();›\n  }\n',
    ],
    'leaves the end of a block of its own': same('\n  ‹a.each do |b|\n    c\n  end›\nend\n'),
    'leaves a bracket of its own': same('\n  ‹if (a) {\n    b();\n  }›\n  }\n'),
    'leaves lines that differ soon': same('\n‹a();\nif (b) {\n  c();\n}›\nif (b) {\n  d();\n}\n'),
    'leaves what has nothing below': same('‹a\nb›'),
  });
});

describe('dropRepeatedTail', () => {
  cases(({ text, restOfLine }) => dropRepeatedTail(text, restOfLine), {
    'a bracket': ['foo(‹bar)›)', 'foo(‹bar›)'],
    'a bracket and more': ['foo(‹bar);›);', 'foo(‹bar›);'],
    'a quote': ['f("‹hello")›")', 'f("‹hello›")'],
    'not a bracket of its own': same('f(‹foo(a)›)'),
    'not a list': same('[‹[1, 2]›]'),
    'not a string': same('‹"a"›"'),
    'the start of a block': ['f(a, ‹b, c) {›) {', 'f(a, ‹b, c›) {'],
    'nothing at the end of a line': same('‹value;›'),
    'nothing that is not there': same('‹value›;'),
    'of the last line': ['f(‹a\nb)›)', 'f(‹a\nb›)'],
    'an assignment': ['let ‹x = 1› = 1 + 2', 'let ‹x› = 1 + 2'],
  });
});

describe('filterCompletion', () => {
  const plain = { before: '', after: '', lineEnd: '\n' } as const;

  it('offers nothing for white space', () => {
    assert.equal(filterCompletion(' \n\t\n', false, plain), '');
    assert.equal(filterCompletion('   ', true, plain), '');
  });

  it('cuts only an answer that ran into its bound', () => {
    const answer = 'a(\n  b,\n  c';
    assert.equal(filterCompletion(answer, true, plain), 'a(\n  b,');
    assert.equal(filterCompletion(answer, false, plain), answer);
    assert.equal(filterCompletion('x, x, x, x', false, plain), 'x, x, x, x');
  });

  it('uses the line ends of the document', () => {
    const crlf = { ...plain, lineEnd: '\r\n' } as const;
    assert.equal(filterCompletion('a\nb\r\nc\n', false, crlf), 'a\r\nb\r\nc');
    assert.equal(filterCompletion('a\r\nb', false, plain), 'a\nb');
  });

  it('does all of it', () => {
    const { before, text, after } = parse(
      'function a() {\n  for (const b of c) {\n    ‹d(b);\n    e(b);\n  }\n  return f;\n}\n\nfunction g› \n  }\n  return f;\n}\n',
    );
    const offered = filterCompletion(text, true, { before, after, lineEnd: '\n' });
    assert.equal(offered, 'd(b);\n    e(b);');
  });
});
