/**
 * Cases are documents by file name. `|` is the cursor. What the model wrote is between ‹ and ›; in the tests of ends, ¦ is
 * where what is offered of it ends, in the tests of what is complete, where that can be told.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { filterCompletion } from '../../../sidecar/completion/filter.ts';
import { CursorSyntax } from '../../../sidecar/syntax/cursor.ts';
import { grammarNames, languageOf } from '../../../sidecar/syntax/languages.ts';
import { Grammars, type SyntaxParser } from '../../../sidecar/syntax/parser.ts';
import { reachInLine, type Reach } from '../../../sidecar/syntax/reach.ts';
import { errorsOf } from '../../../sidecar/syntax/tree.ts';

const folder = fileURLToPath(
  new URL('../../../node_modules/@vscode/tree-sitter-wasm/wasm', import.meta.url),
);
const grammars = new Grammars(folder, (message) => {
  throw new Error(message);
});

async function parserOf(name: string, milliseconds: number): Promise<SyntaxParser> {
  const language = languageOf(name);
  assert.ok(language !== undefined, name);
  const parser = await grammars.parserOf(language, milliseconds);
  assert.ok(parser !== undefined);
  return parser;
}

async function withSyntax(
  place: { name: string; before: string; after: string; anywhere?: boolean },
  use: (syntax: CursorSyntax) => void,
): Promise<void> {
  const syntax = await CursorSyntax.at(place, grammars, Infinity);
  assert.ok(syntax !== undefined);
  try {
    use(syntax);
  } finally {
    syntax.close();
  }
}

type Cases = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A test for each case: `check` is given the file's name and the document. */
function cases(all: Cases, check: (name: string, document: string) => Promise<void>): void {
  for (const [name, documents] of Object.entries(all))
    for (const [title, document] of Object.entries(documents))
      it(`${name}: ${title}`, () => check(name, document.replace(/^\n/, '')));
}

function reaches(expected: Reach, all: Cases): void {
  cases(all, async (name, document) => {
    const [before = '', after = ''] = document.split('|');
    await withSyntax({ name, before, after }, ({ reach }) => {
      assert.equal(reach, expected);
    });
  });
}

describe('reachOf: several lines', () => {
  reaches('lines', {
    'a.ts': {
      'in an empty block': 'function a() {\n  |\n}\n',
      'between statements': 'function a() {\n  b();\n  |\n  c();\n}\n',
      'in an empty file': '|',
      'at top level': 'a();\n\n|\n\nb();\n',
      'under a comment': '/** A. */\n|\n',
      'behind what opens a function': 'function a() {|\n}\n',
      'behind what opens one in a call': 'a(() => {|});\n',
      'behind what opens an object': 'const a = {|\n',
      'behind what opens a list': 'const a = [|\n];\n',
      'behind a statement': 'a();|\nb();\n',
      'behind a comment that is closed': 'a(); /* b */|\n',
      'in a class': 'class A {\n  b = 1;\n\n  |\n}\n',
      'in arguments on lines of their own': 'a(\n  |\n);\n',
      'in a statement at its end': 'const a = |\n',
      'behind a string': 'const a = "b" + |\n',
    },
    'a.tsx': { 'between tags': 'const a = (\n  <b>\n    |\n  </b>\n);\n' },
    'a.js': { 'in a block': 'if (a) {\n  |\n}\n' },
    'a.py': {
      'behind what opens a block': 'def a():|\n',
      'in a block': 'def a():\n    b()\n    |\n',
      'behind what opens a table': 'a = {|\n',
      'under a docstring': 'def a():\n    """b"""\n    |\n',
    },
    'a.rs': {
      'in a block': 'fn a() {\n    |\n}\n',
      'under a comment': '/// A.\n|\n',
      'behind a lifetime': "impl<'a> B<'a> {|\n}\n",
    },
    'a.go': { 'in a block': 'package a\n\nfunc a() {\n\t|\n}\n' },
    'A.java': {
      'in a class': 'class A {\n  |\n}\n',
      'under a comment': 'class A {\n  /** B. */\n  |\n}\n',
    },
    'a.c': { 'in a block': 'int a(void) {\n  |\n}\n' },
    'a.cpp': { 'in a namespace': 'namespace a {\n|\n}\n' },
    'a.cs': { 'in a method': 'class A {\n  void B() {\n    |\n  }\n}\n' },
    'a.rb': {
      'behind what opens a method': 'def a(b)|\nend\n',
      'behind what opens a block': 'a.each do |b|\nend\n'.replace('|b|', '|'),
      'in a method': 'def a\n  |\nend\n',
    },
    'a.php': { 'in a function': '<?php\nfunction a() {\n    |\n}\n' },
  });
});

describe('reachOf: one line', () => {
  reaches('line', {
    'a.ts': {
      'in a statement': 'const a = |b + c;\n',
      'in a comment': '// a|\nb();\n',
      'in a comment of several lines': '/**\n * a|\n */\nb();\n',
      'on an empty line of a comment': '/*\n|\n*/\nb();\n',
      'in a string': 'const a = "b|";\n',
      'in a string that is not closed': 'const a = "b|\nc();\n',
      'in a template': 'const a = `b\n|\n`;\n',
      'in arguments': 'a(|);\n',
      'in arguments that are not closed': 'a(b, |\nc();\n',
      'in a condition': 'if (a && |) {\n}\n',
      'in a list on one line': 'const a = [|];\n',
    },
    'a.tsx': { 'in a property': 'const a = <b c={|} />;\n' },
    'a.js': { 'in a regular expression': 'a = /b|/;\n' },
    'a.py': {
      'in a comment': '# a|\nb()\n',
      'in a docstring': 'def a():\n    """\n    |\n    """\n',
      'in a string that is not closed': 'a = "b|\nc()\n',
      'in arguments': 'a(|)\n',
    },
    'a.rs': { 'in a comment': '/// A|\nfn a() {}\n', 'in arguments': 'fn a() {\n    b(|);\n}\n' },
    'a.go': { 'in a string': 'package a\n\nvar a = `b|`\n' },
    'A.java': { 'in a comment': 'class A {\n  /**\n   * |\n   */\n}\n' },
    'a.c': { 'in arguments': 'int a(void) {\n  b(|);\n}\n' },
    'a.cpp': { 'in a comment': '// a|\nint b;\n' },
    'a.cs': { 'in a string': 'class A { string b = $"c|"; }\n' },
    'a.rb': { 'in a string': 'a = "b #{c} |"\n', 'in a comment': '# a|\nb\n' },
    'a.php': {
      'in arguments': '<?php\na(|);\n',
      'in a part of a file': 'function a() {\n    b(|);\n}\n',
    },
  });

  it('but where several are asked for', async () => {
    const place = { name: 'a.ts', before: 'a(', after: ');\n', anywhere: true };
    await withSyntax(place, ({ reach }) => {
      assert.equal(reach, 'lines');
    });
  });
});

describe('reachInLine', () => {
  it('tells one line from several by the rest of the line', () => {
    for (const after of ['', '\nb', ');', '"', ' }\nb'])
      assert.equal(reachInLine(after), 'lines', after);
    for (const after of [' + b', 'b);\n']) assert.equal(reachInLine(after), 'line', after);
  });
});

/** What is written to the end of each document, and where what is offered of it ends. */
const ends: Cases = {
  'a.ts': {
    'ends behind the block that it begins': `
function a() {
  ‹if (b) {
    c();
  }¦
  d();
  e();›
}
`,
    'goes on behind an else': `
function a() {
  ‹if (b) {
    c();
  } else {
    d();
  }¦
  e();›
}
`,
    'goes on behind statements without a block': `
function a() {
  ‹b();
  c();
  d();¦
}
›}
`,
    'ends before the next method': `
class A {
  ‹b() {
    c();
  }¦

  d() {}
›}
`,
    'ends before the next declaration': `
‹const a = 1;
const b = 2;¦

const c = 3;
›`,
    'keeps a comment with what it is of': `
‹/**
 * A.
 */
function a() {
  b();
}¦

function c() {}
›`,
    'leaves a bracket to the code below': `
function a() {
  ‹b();¦
}
›}
`,
    'closes a block that the code below does not': `
function a() {
  ‹b();
}¦

function c() {
›`,
    'drops a bracket that is below, wherever it stands': `
function a() {
    if (b) {
      ‹c();¦
      }›
  }
}
`,
    'drops a bracket that the code below has for the same block': `
function a() {
  ‹if (b) {
      c();¦
    }›
  }
}
`,
    'is not misled by brackets in strings and comments': `
function a() {
  ‹b('}');
  // }
  c("{");
  d();¦
}
›}
`,
    'is not misled by how a string is indented': `
function a() {
  ‹const b = \`
c
\`;¦
  d();
›}
`,
    'ends with the statement begun': `
function a() {
  const b = ‹c();¦
  d();
›}
`,
    'ends with the statement begun, on whatever line': `
function a() {
  const b = ‹c({
    d,
  });¦
  e();
›}
`,
    'goes on with a chain': `
function a() {
  b‹.c()
    .d()
    .e();¦
  f();
›}
`,
    'ends with the block that the line before opens': `
if (a) {‹
  b();
}¦
c();
›`,
    'ends with a callback': `
a(() => {‹
  b();
  c();¦
›});
`,
    'leaves out a statement that breaks off': `
function a() {
  ‹b();
  c();¦
  d({
    e,›
}
`,
    'keeps one that is all there is': `
function a() {
  ‹b({
    c,¦›
}
`,
  },
  'a.tsx': {
    'ends with the tag': `
const a = (
  <b>
    ‹<c>
      it's
    </c>¦
    <d />
›
  </b>
);
`,
  },
  'a.js': {
    'ends before the next case': `
switch (a) {
  case 1:
    ‹b();
    break;¦
  case 2:
    c();
›}
`,
  },
  'a.py': {
    'ends with the function': `
def a():
    ‹b()

    return c¦


def d():
    e()
›`,
    'ends behind the block that it begins': `
def a():
    ‹for b in c:
        d()¦
    e()
    f()
›`,
    'goes on behind an else': `
def a():
    ‹if b:
        c()
    else:
        d()¦
    e()
›`,
    'is not misled by brackets and strings': `
def a():
    ‹b()
    c = ("""
d
""",
e)¦
    f()
›`,
    'ends before the next method': `
class A:
    ‹def b(self):
        c()¦

    def d(self):
        pass
›`,
  },
  'a.rs': {
    'ends behind the block that it begins': `
fn a() {
    ‹match b {
        C => d(),
        _ => e(),
    }¦
    f();
›}
`,
    'ends before the next method': `
impl<'a> A<'a> {
    ‹fn b(&self) -> char {
        '}'
    }¦

    fn c(&self) {}
›}
`,
  },
  'a.go': {
    'ends behind the block that it begins': `
package a

func a() error {
	‹if err := b(); err != nil {
		return err
	}¦
	return nil
}
›}
`,
  },
  'A.java': {
    'ends before the next method': `
class A {
  ‹void b() {
    c();
  }¦

  void d() {}
›}
`,
  },
  'a.c': {
    'ends behind the block that it begins, past directives': `
void a(void) {
  ‹for (;;) {
#if B
    c();
#endif
  }¦
  d();
›}
`,
    'is not misled by where directives stand': `
void a(void) {
  ‹b();
#if C
  c();
#endif
  d();¦
›}
`,
  },
  'a.cpp': {
    'ends with the function, with its brace on a line of its own': `
‹int a()
{
  return 1;
}¦

int b()
›`,
  },
  'a.cs': {
    'ends before the next method': `
class A
{
    ‹void B()
    {
        C($"{d}}}");
    }¦

    void E()
    {
    }
›}
`,
  },
  'a.rb': {
    'ends behind the block that it begins': `
def a
  ‹b.each do |c|
    d(c)
  end¦
  e›
end
`,
    'leaves an end to the code below': `
def a
  ‹b
  c¦
end›
end
`,
  },
  'a.php': {
    'ends behind the block that it begins': `
<?php
function a() {
    ‹if ($b) {
        c("}");
    }¦
    d();
›}
`,
  },
  'a.unknown': {
    'ends by indentation alone': `
a {
  ‹if b {
    c
  }
  d¦
}›
}
`,
  },
};

interface Written {
  readonly name: string;
  readonly before: string;
  readonly after: string;
  readonly answer: string;
  readonly mark: number;
}

function written(name: string, document: string): Written {
  const [, before = '', marked = '', after = ''] =
    /^([^‹]*)‹([^›]*)›([^]*)$/.exec(document.replace(/^\n/, '')) ?? [];
  return { name, before, after, answer: marked.replace('¦', ''), mark: marked.indexOf('¦') };
}

/** What is offered of an answer. */
async function offer({ name, before, after }: Written, answer: string): Promise<string> {
  const syntax = await CursorSyntax.at({ name, before, after }, grammars, Infinity);
  try {
    return filterCompletion(answer, false, { before, after, lineEnd: '\n', syntax });
  } finally {
    syntax?.close();
  }
}

describe('endOf', () => {
  cases(ends, async (name, document) => {
    const place = written(name, document);
    const { answer, mark } = place;
    assert.equal(await offer(place, answer), answer.slice(0, mark).trimEnd());
  });

  it('goes on where the code below lacks what follows', async () => {
    const document = 'function a() {\n  b.‹c();\n  d(() => {›\n    e();\n  });\n}\n';
    const place = written('a.ts', document);
    assert.equal(await offer(place, place.answer), place.answer);
  });

  it('never makes more errors than there are', async () => {
    for (const [name, documents] of Object.entries(ends))
      for (const [title, document] of Object.entries(documents)) {
        if (languageOf(name) === undefined) continue;
        const place = written(name, document);
        const { before, after, answer } = place;
        const parser = await parserOf(name, Infinity);
        const errors = (text: string): number =>
          parser.read(before + text + after, errorsOf) ?? Number.NaN;
        await withSyntax(place, (syntax) => {
          const cut = answer.slice(0, syntax.endOf(answer));
          assert.ok(errors(cut) <= errors(answer), `${name}: ${title}`);
        });
        parser.close();
      }
  });
});

describe('isComplete', () => {
  /** The shortest part of an answer that is complete; all of it where none is. */
  async function shortest(place: Written): Promise<string> {
    let text = place.answer;
    await withSyntax(place, (syntax) => {
      for (let length = 0; length < place.answer.length; length++) {
        text = place.answer.slice(0, length);
        if (syntax.isComplete(text)) return;
      }
      text = place.answer;
    });
    return text;
  }

  const complete: Cases = {
    'a.ts': {
      'one line: at its end': 'a(‹b, c\n¦d›);\n',
      'one line: once something is visible': '// a‹\n  b();\n¦  c();›\n',
      'a block: at the next word': `
function a() {
  ‹if (b) {
    c();
  }
  d(¦);
  e();›
}
`,
      'a block: not at what may be an else': `
function a() {
  ‹if (b) {
    c();
  }
  els¦›
}
`,
      'a scope that is left: behind the line that leaves it': `
function a() {
  ‹b();
}
¦
c();›
}
`,
      'a statement: at the next one': `
function a() {
  const b = ‹c();
  d(¦);
›}
`,
      'never in a block': 'function a() {\n  ‹b();\n  c();\n  d();\n¦›}\n',
    },
    'a.py': {
      'a block: at the next word': `
def a():
    ‹for b in c:
        d()
    e(¦)
›`,
      'a declaration: at the next one': `
‹def a():
    b()


def ¦c():
›`,
    },
  };
  cases(complete, async (name, document) => {
    const place = written(name, document);
    assert.equal(await shortest(place), place.answer.slice(0, place.mark));
  });

  it('loses nothing of what is offered', async () => {
    for (const [name, documents] of Object.entries(ends))
      for (const [title, document] of Object.entries(documents)) {
        if (languageOf(name) === undefined) continue;
        const place = written(name, document);
        const stopped = await offer(place, await shortest(place));
        assert.equal(stopped, await offer(place, place.answer), `${name}: ${title}`);
      }
  });
});

describe('Grammars', () => {
  it('load, all of them, and read code without errors', async () => {
    const code: Readonly<Record<string, string>> = {
      'a.ts': 'let a: number = 1;\n',
      'a.tsx': 'const a = <b>c</b>;\n',
      'a.js': 'let a = 1;\n',
      'a.py': 'def a():\n    pass\n',
      'a.rs': 'fn a() {}\n',
      'a.go': 'package a\n',
      'A.java': 'class A {}\n',
      'a.cpp': 'int a() { return 1; }\n',
      'a.cs': 'class A {}\n',
      'a.rb': 'def a\nend\n',
      'a.php': '<?php\na();\n',
    };
    const read = new Set<string>();
    for (const [name, text] of Object.entries(code)) {
      const parser = await parserOf(name, Infinity);
      assert.equal(parser.read(text, errorsOf), 0, name);
      assert.notEqual(parser.read(`${text}(`, errorsOf), 0, name);
      read.add(parser.language.grammar);
      parser.close();
    }
    assert.deepEqual([...read].sort(), [...grammarNames].sort());
  });

  it('are told by the ending of a name', () => {
    assert.equal(languageOf('src/A.TS')?.grammar, 'typescript');
    assert.equal(languageOf('a.test.mjs')?.grammar, 'javascript');
    assert.equal(languageOf('a.h')?.grammar, 'cpp');
    assert.equal(languageOf('Untitled-1', 'typescriptreact')?.grammar, 'tsx');
    assert.equal(languageOf('notes.ipynb', 'python')?.grammar, 'python');
    assert.equal(languageOf('a.ts', 'python')?.grammar, 'typescript');
    assert.equal(languageOf('Untitled-1', 'plaintext'), undefined);
    for (const name of ['', 'ts', 'Makefile', 'a.md', 'a.'])
      assert.equal(languageOf(name), undefined);
  });

  it('that do not load are told of once, and completions end as without one', async () => {
    const told: string[] = [];
    const missing = new Grammars('/nowhere', (message) => told.push(message));
    const place = { name: 'a.ts', before: 'a();', after: '' };
    assert.equal(await CursorSyntax.at(place, missing), undefined);
    assert.equal(await CursorSyntax.at(place, missing), undefined);
    assert.equal(await CursorSyntax.at({ ...place, name: 'a.unknown' }, missing), undefined);
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /tree-sitter-typescript\.wasm does not load: ENOENT/);
  });
});

describe('CursorSyntax', () => {
  it('gives up when its time is spent', async () => {
    const before = 'function a() {\n'.repeat(500);
    const place = { name: 'a.ts', before, after: '' };
    assert.equal(await CursorSyntax.at(place, grammars, 0), undefined);
    const parser = await parserOf('a.ts', 0);
    assert.equal(parser.read(before, errorsOf), undefined);
    parser.close();
  });

  it('gives up in a line that starts too far away', async () => {
    const place = { name: 'a.ts', before: 'a;'.repeat(1 << 20), after: ';b'.repeat(1 << 20) };
    assert.equal(await CursorSyntax.at(place, grammars, Infinity), undefined);
  });

  it('looks at so much of a long file, from a declaration on', async () => {
    const block = 'function a() {\n  b();\n  }\n}\n';
    const before = `${block.repeat(5000)}function c() {\n  d(`;
    await withSyntax({ name: 'a.ts', before, after: `);\n}\n${block.repeat(5000)}` }, (syntax) => {
      assert.equal(syntax.reach, 'line');
    });
  });
});
