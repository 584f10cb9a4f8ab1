/** Cases are documents by file name, as test/unit/support/nextEdits.ts reads them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cancelled } from '../../../sidecar/engine/failure.ts';
import { fail, succeed } from '../../../sidecar/result.ts';
import { Follower, parseTemplate, whole } from '../support/nextEdits.ts';

type Cases = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A test for each case: all that is to be offered is, and nothing else. */
function offers(all: Cases, answer = ''): void {
  for (const [name, documents] of Object.entries(all))
    for (const [title, document] of Object.entries(documents))
      it(`${name}: ${title}`, async () => {
        const { before, after, cursor, wanted } = parseTemplate(document.replace(/^\n/, ''));
        const user = new Follower(name, before, () => whole(answer));
        user.change(after, cursor);
        await user.acceptAll();
        assert.equal(user.text, wanted);
      });
}

describe('next edits after a rename', () => {
  offers({
    'a.ts': {
      'of a constant': 'const ‹count→total› = 1;\nf(«count→total»);\ng(«count→total», 2);\n',
      'from the middle, around': 'f(«count→total»);\nconst ‹count→total› = 1;\nf(«count→total»);\n',
      'where it is used': 'const «count→total» = 1;\nf(‹count→total›);\n',
      'of a function': 'function ‹run→start›() {\n  «run→start»();\n}\n',
      'of a class': 'class ‹A→Box› {}\nconst a: «A→Box» = new «A→Box»();\n',
      'by adding letters': 'const count‹→s› = 1;\nf(«count→counts»);\n',
      'by taking letters away': 'const count‹s→› = 1;\nf(«counts→count»);\n',
      'not in strings and comments':
        'const ‹count→total› = 1; // count\nf("count", `count ${«count→total»}`);\n',
      'not in other words': 'const ‹count→total› = 1;\nf(counts, «count→total», account);\n',
      'of a parameter, in its function alone':
        'function a(‹b→c›) {\n  return «b→c»;\n}\nfunction d(b) {\n  return b;\n}\n',
      'of a local name, in its block alone':
        'if (a) {\n  const ‹b→c› = 1;\n  f(«b→c»);\n}\nf(b);\n',
      'not where the name is another one':
        'const ‹b→c› = 1;\nfunction f(b) {\n  return b;\n}\ng(«b→c»);\n',
      'not of members': 'const ‹b→c› = 1;\na.b = { b: «b→c» };\n',
      'in short forms, whose keys stay': 'const ‹b→c› = 1;\nf({ «b→b: c», d: «b→c» });\n',
      'of what an object is taken apart into': 'const { ‹b→c› } = a;\nf(«b→c», a.b);\n',
      'of a method': 'class A {\n  ‹b→c›() {\n    this.«b→c»();\n    b();\n  }\n}\n',
      'of a member, not in another class':
        'class A {\n  ‹b→c› = 1;\n  d = this.«b→c»;\n}\nclass D {\n  b = 1;\n  e = this.b;\n}\n',
      'beside a method of the name':
        'const ‹b→c› = 1;\nfunction f() {\n  return { b() {}, d: «b→c» };\n}\n',
      'of a member that is used': 'a.‹b→c› = 1;\nf(a.«b→c», b);\n',
      'of what is spread': 'const ‹b→c› = [];\nf(...«b→c»);\n',
      'in a file with errors': 'const ‹b→c› = ;\nf(«b→c»\n} else {\ng(«b→c»);\n',
      'with CRLF': 'const ‹b→c› = 1;\r\nf(«b→c»);\r\n',
      'behind surrogate pairs': 'f("😀", «b→c»);\nconst ‹b→c› = "😀😀";\n"😀"; f(«b→c»);\n',
      'of letters beyond ASCII': 'const ‹größe→länge› = 1;\nf(«größe→länge»);\n',
      'of letters beyond 16 bits': 'const ‹𝐚→𝐛› = 1;\nf(«𝐚→𝐛»);\n',
      'not of emoji': 'const a = "‹😀→😁›";\nf("😀");\n',
      'not to a keyword': 'const ‹b→if› = 1;\nf(b);\n',
      'not of a keyword': '‹let→const› a = 1;\nlet b = 2;\n',
      'not of what is no identifier': 'const a = ‹1→2›;\nf(1);\n',
      'not of an expression': 'f(‹a + b→c›);\ng(a, b);\n',
      'not in a string': 'f("‹a→b›");\nf("a", a);\n',
      'not where nothing is left': 'const ‹a→b› = 1;\n',
    },
    'a.js': { 'of a function': 'function ‹a→b›() {}\n«a→b»();\n' },
    'a.tsx': { 'in tags': 'const ‹a→b› = 1;\nconst c = <p q={«a→b»}>a</p>;\n' },
    'a.py': {
      'of a local name, in all of its function':
        'def f():\n    if x:\n        ‹a→b› = 1\n    return «a→b»\n\ndef g(a):\n    return a\n',
      'of a method': 'class A:\n    def ‹b→c›(self):\n        self.«b→c»()\n\ndef b():\n    b()\n',
      'of a function':
        'def ‹f→g›():\n    «f→g»()\n    a.f()\n\nclass A:\n    def f(self):\n        pass\n',
      'of a class': 'class ‹A→B›:\n    pass\n\nclass C(«A→B»):\n    a: «A→B»\n',
      'of a variable of the file':
        '‹a→b› = 1\ndef f():\n    return «a→b»\n\ndef g(a):\n    return a\n',
      'of a parameter': 'def f(‹a→b›: int, c=1):\n    return «a→b» + c.a\n',
    },
    'a.rs': {
      'in short forms': 'fn f(‹a→b›: i32) -> A { A { «a→a: b», c: «a→b» } }\n',
      'of a variable':
        'fn f() {\n    let ‹a→b› = 1;\n    g(«a→b», self.a);\n}\nfn h(a: i32) { a }\n',
      'of a function': 'fn ‹a→b›() {}\nfn c() { «a→b»(); }\n',
      'of a method': 'impl A {\n    fn ‹a→b›(&self) { self.«a→b»(); a(); }\n}\n',
      'of a field': 'struct A {\n    ‹a→b›: i32,\n}\nfn f(a: A) { a.«a→b» }\n',
    },
    'a.go': {
      'of a variable':
        'package p\n\nfunc f() {\n\t‹a→b› := 1\n\tg(«a→b», x.a)\n}\n\nfunc h(a int) {}\n',
    },
    'b.go': {
      'of a method': 'package p\n\nfunc (t *T) ‹f→g›() {\n\tt.«f→g»()\n\tf()\n}\n',
      'of a function': 'package p\n\nfunc ‹f→g›() {\n\t«f→g»()\n\tt.f()\n}\n',
    },
    'A.java': {
      'of a field': 'class A {\n  int ‹n→m›;\n  int f() { return «n→m» + this.«n→m»; }\n}\n',
      'of a variable': 'class A {\n  int f() { int ‹n→m› = 1; return «n→m» + this.n; }\n}\n',
    },
    'a.cpp': {
      'of a parameter': 'int f(int ‹a→b›) { return «a→b»; }\nint g(int a) { return a; }\n',
      'of a function': 'int ‹f→g›(int a) { return a; }\nint h() { return «f→g»(1); }\n',
    },
    'a.cs': {
      'of a field': 'class A {\n  int ‹n→m› = 1;\n  int F() { return «n→m»; }\n}\n',
      'of a method': 'class A {\n  int ‹F→G›() { return «F→G»() + this.«F→G»(); }\n}\n',
    },
    'a.rb': {
      'of an instance variable': 'def f\n  ‹@a→@b› = 1\n  «@a→@b» + a\nend\n',
      'of a method': 'def ‹f→g›(a)\n  a\nend\n«f→g»(1)\n',
      'of a class': 'class ‹A→B›\nend\n«A→B».new\n',
    },
    'a.php': {
      'of a variable':
        '<?php\nfunction f($‹a→b›) { return $«a→b»; }\nfunction g($a) { return $a; }\n',
    },
  });
});

describe('next edits after a change of a signature', () => {
  offers(
    {
      'a.ts': {
        'with a parameter more': 'function f(a‹→, b›) {}\nf(«1→x, y»);\nf(2, 3);\nf(«→x, y»);\n',
        'with the first parameter': 'function g() {}\nfunction f(‹→a, b›) {}\nf(«→x, y»);\ng();\n',
        'with a parameter less': 'function f(a, b‹, c→›) {}\nf(«1, 2, 3→x, y»);\n',
        'with parameters in another order':
          'function f(‹a, b→b, a›) {}\nf(«1, 2→x, y»);\nf(«1, 2→x, y»);\n',
        'of a function that is a value': 'const f = (a: A‹→, b: B›) => a;\nf(«1→x, y»);\n',
        'of a method': 'class A {\n  f(a‹→, b›) {}\n}\na.b().f(«1→x, y»);\n',
        'not where it fits': 'function f(a‹→, b = 1›) {}\nf(1);\nf(1, 2);\n',
        'not where any number fits': 'function f(‹a→...a›) {}\nf(1, 2);\n',
        'not where another one fits': 'f(1);\nfunction f(a‹→, b›) {}\nfunction f(a) {}\n',
        'once where it is not to be told': 'function f(a‹→, b›) {}\nf(«...c→x, y»);\n',
        'with CRLF': 'function f(a‹→, b›) {}\r\nf(\r\n  «1→x, y»\r\n);\r\n',
      },
      'a.py': {
        'of a method': 'class A:\n    def f(self, a‹→, b›):\n        self.f(«a→x, y»)\n',
        'with a default': 'def f(a, b‹=1→›):\n    pass\nf(«1→x, y»)\nf(1, b=2)\n',
      },
      'a.rs': {
        'of a method': 'impl A { fn f(&self, a: i32‹→, b: i32›) {} }\nfn g() { a.f(«1→x, y»); }\n',
      },
      'a.go': {
        'of a function': 'package p\n\nfunc f(a‹→, b› int) {}\n\nfunc g() { f(«1→x, y») }\n',
      },
      'A.java': { 'of a method': 'class A {\n  void f(int a‹→, int b›) { f(«a→x, y»); }\n}\n' },
      'a.cpp': {
        'of a function': 'int f(int *a‹→, int b›) { return 1; }\nint g() { return f(«0→x, y»); }\n',
      },
      'a.cs': {
        'of a method': 'class A {\n  int F(int a‹→, int b›) { return this.F(«a→x, y»); }\n}\n',
      },
      'a.rb': { 'of a method': 'def f(a‹→, b›)\nend\nf(«1→x, y»)\nf 1\n' },
      'a.php': { 'of a function': '<?php\nfunction f($a‹→, $b›) {}\nf(«1→x, y»);\n' },
    },
    'x, y',
  );

  const template = 'function f(a‹→, b›) {}\nf(1);\n';
  const { before, after, cursor } = parseTemplate(template);
  const written = async (text: string, isCutOff = false): Promise<string | undefined> => {
    const user = new Follower('a.ts', before, () => succeed({ text, isCutOff }));
    user.change(after, cursor);
    return (await user.next())?.edit.text;
  };

  it('are written by the model, up to the bracket that closes them', async () => {
    const user = new Follower('a.ts', before, () => whole('1, (2)); // and more'));
    user.change(after, cursor);
    const found = await user.next();
    assert.deepEqual(user.asked, ['function f(a, b) {}\nf(|);\n']);
    assert.equal(found?.edit.text, '1, (2)');
    assert.deepEqual(found.why, { kind: 'signature', function: 'f' });
  });

  it('are refused where they are what there is, do not fit, or are not whole', async () => {
    for (const answer of [
      '',
      '1',
      '1, 2, 3',
      '1, (2',
      '1, "2',
      '1, `2',
      '1, [2)',
      '1, 2}',
      'a: number, b: number',
    ])
      assert.equal(await written(answer), undefined, answer);
    assert.equal(await written(' 1, [2, 3] '), '1, [2, 3]');
    assert.equal(await written('1, 2', true), undefined, 'it ran into its bound');
    assert.equal(await written('1, 2); f(3', true), '1, 2');
  });

  it('visit every call once where its number of arguments tells nothing', async () => {
    let asked = 0;
    const calls = 'f(1, 2);\nf(3, 4);\n';
    const user = new Follower('a.ts', `${calls}function f(a, b) {}\n${calls}`, () =>
      whole(`${++asked}, a`),
    );
    user.change(`${calls}function f(b, a) {}\n${calls}`, calls.length + 'function f('.length);
    const offers = await user.acceptAll();
    assert.deepEqual(
      offers.map(({ edit }) => edit.text),
      ['1, a', '2, a', '3, a', '4, a'],
    );
    assert.equal(user.text, 'f(3, a);\nf(4, a);\nfunction f(b, a) {}\nf(1, a);\nf(2, a);\n');
  });

  it('are looked for in a few calls, the nearest', async () => {
    const user = new Follower('a.ts', `${before}${'f(1);\n'.repeat(20)}`);
    user.change(`${after}${'f(1);\n'.repeat(20)}`, cursor);
    assert.equal(await user.next(), undefined);
    assert.equal(user.asked.length, 3);
  });

  it('fail as the model does', async () => {
    const user = new Follower('a.ts', before, () => fail(cancelled));
    user.change(after, cursor);
    await assert.rejects(user.next());
  });
});

describe('next edits', () => {
  const base = 'const count = 1;\nf(count);\nf(count);\n';
  const at = (text: string, name: string): number => text.indexOf(name) + name.length;

  it('follow what is typed letter by letter, and what it was in the beginning', async () => {
    const user = new Follower('a.ts', base);
    for (const name of ['coun', 'cou', 'co', 'c', '', 't', 'to', 'tot', 'total']) {
      const text = base.replace('count', name);
      user.change(text, 6 + name.length);
    }
    assert.deepEqual((await user.next())?.why, { kind: 'rename', from: 'count', to: 'total' });
    user.change(base.replace('count', 'totals'), 12);
    assert.deepEqual((await user.next())?.why, { kind: 'rename', from: 'count', to: 'totals' });
    user.change(base, 11);
    assert.equal(await user.next(), undefined);
  });

  it('end with an edit elsewhere', async () => {
    const user = new Follower('a.ts', base);
    const renamed = base.replace('count', 'total');
    user.change(renamed, 11);
    user.change(`${renamed}\n`, renamed.length + 1);
    assert.equal(await user.next(), undefined);
  });

  it('begin anew behind those that were accepted', async () => {
    const user = new Follower('a.ts', base);
    user.change(base.replace('count', 'total'), 11);
    const [, second] = await user.acceptAll();
    assert.deepEqual(second?.why, { kind: 'rename', from: 'count', to: 'total' });
    const text = user.text.replace('total', 'totals');
    user.change(text, at(text, 'totals'));
    assert.deepEqual((await user.next())?.why, { kind: 'rename', from: 'total', to: 'totals' });
  });

  it('are found from the cursor on', async () => {
    const user = new Follower('a.ts', base);
    const renamed = base.replace('count', 'total');
    user.change(renamed, renamed.lastIndexOf('\n', renamed.length - 2));
    assert.equal((await user.next())?.edit.start, renamed.lastIndexOf('count'));
  });

  it('are none for text that was written at once', async () => {
    const user = new Follower('a.ts', base);
    user.change('f(a);\n'.repeat(3) + base, 0);
    assert.equal(await user.next(), undefined);
  });

  it('are none in a document that was closed, is another one by now, or has no grammar', async () => {
    const user = new Follower('a.ts', base);
    const renamed = base.replace('count', 'total');
    user.change(renamed, 11);
    user.text = `${renamed} `;
    assert.equal(await user.next(), undefined);
    user.text = renamed;
    user.edits.documentChanged(user.uri, undefined);
    assert.equal(await user.next(), undefined);
    const plain = new Follower('a.txt', base);
    plain.change(renamed, 11);
    assert.equal(await plain.next(), undefined);
  });

  it('are none in a line of 2 MB', async () => {
    const long = `const count = [${'count, '.repeat(300_000)}];`;
    const user = new Follower('a.ts', long);
    user.change(long.replace('count', 'total'), 11);
    assert.equal(await user.next(), undefined);
  });

  it('are none for who has given up', async () => {
    const user = new Follower('a.ts', base);
    user.change(base.replace('count', 'total'), 11);
    const { uri, name, text, cursor: offset } = user;
    const found = await user.edits.find(
      { uri, name, text, offset, maxTokens: 8 },
      AbortSignal.abort(),
    );
    assert.deepEqual(found, fail(cancelled));
  });
});
