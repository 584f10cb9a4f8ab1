import '../../../support/page.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { CodeAction } from '../../../../../extension/chat/view/codeBlock.ts';
import { Highlighter } from '../../../../../extension/chat/view/highlight.ts';
import { MarkdownStream } from '../../../../../extension/chat/view/stream.ts';

const labels = { copy: 'Copy', insert: 'Insert', apply: 'Apply' };

function newStream(
  act: (action: CodeAction, code: string, info: string) => void = () => undefined,
): {
  root: HTMLElement;
  stream: MarkdownStream;
} {
  const root = document.createElement('div');
  return { root, stream: new MarkdownStream(root, { labels, name: 'Code {0}', act }) };
}

function rendered(text: string): HTMLElement {
  const { root, stream } = newStream();
  stream.show(text);
  return root;
}

/** Numbers from 0 to below 1, the same for the same seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('Markdown of an answer', () => {
  it('has headings below those of the page, lists, tables, emphasis and code', () => {
    const root = rendered(
      '# A\n\n*b* **c** `d`\n\n1. e\n2. f\n\n| g | h |\n|---|---|\n| i | j |\n\n> k\n\n```ts\nconst x = 1;\n```\n',
    );
    const tags = [...root.querySelectorAll('*')].map(({ tagName }) => tagName.toLowerCase());
    for (const tag of ['h3', 'em', 'strong', 'code', 'ol', 'li', 'table', 'th', 'blockquote']) {
      assert.ok(tags.includes(tag), tag);
    }
    assert.equal(root.querySelector('figure .language')?.textContent, 'ts');
    assert.equal(root.querySelector('.hljs-keyword')?.textContent, 'const');
  });

  it('gives the code of a block as it was written, also in a list, and only once it is whole', () => {
    const acts: unknown[] = [];
    const { root, stream } = newStream((...act) => acts.push(act));
    const click = (): void => {
      for (const button of root.querySelectorAll('button')) button.click();
    };
    stream.show(
      '- x\n\n  ```py f.py\n  if a:\n      b\n\n      c < "d" && e\n  ```\n\nz\n\n```js\nlet a;',
    );
    click();
    const inList = 'if a:\n    b\n\n    c < "d" && e';
    assert.deepEqual(acts, [
      ['copy', inList, 'py f.py'],
      ['insert', inList, 'py f.py'],
      ['apply', inList, 'py f.py'],
    ]);
    stream.show(
      '- x\n\n  ```py f.py\n  if a:\n      b\n\n      c < "d" && e\n  ```\n\nz\n\n```js\nlet a;\n\n```',
    );
    click();
    assert.deepEqual(acts.at(-1), ['apply', 'let a;\n', 'js']);
  });

  const hostile = [
    '<script>steal()</script>',
    '<img src=x onerror=steal()>',
    '<svg><g onload="steal()"></g></svg>',
    '<div><p><a href="javascript:steal()">x</a></p></div>',
    '<iframe srcdoc="<script>steal()</script>"></iframe>',
    '<style>*{display:none}</style>',
    '<form action="https://a.b"><input name=x></form>',
    '[x](javascript:steal())',
    '[x](JaVaScRiPt:steal())',
    '[x](&#106;avascript:steal())',
    '[x](java\nscript:steal())',
    '[x](<javascript:steal()>)',
    '[x](command:workbench.action.terminal.new)',
    '[x](command&colon;workbench.action.quit)',
    '[x](vscode://sightline.sightline/x)',
    '[x](vscode-resource:/etc/passwd)',
    '[x](data:text/html,<script>steal()</script>)',
    '[x](file:///etc/passwd)',
    '[x](//evil.example)',
    '<javascript:steal()>',
    '<command:workbench.action.quit>',
    '[x][y]\n\n[y]: command:workbench.action.quit',
    '![x](https://evil.example/pixel.png)',
    '![x](data:image/svg+xml;base64,PHN2Zz4=)',
    '![x" onerror="steal()](https://evil.example/p.png"onerror=steal())',
    '```"><script>steal()</script>\nx\n```',
    '```js" onmouseover="steal()\nx\n```',
    '- ```"><img src=x onerror=steal()>\n  </pre><script>steal()</script>\n  ```',
    '```html\n</code></pre><script>steal()</script><span class="x" onclick="y">\n```',
    '`</code><script>steal()</script>`',
    '| <script>steal()</script> |\n|:-:|\n| <b onclick=steal()>x</b> |',
    '[x](https://a.b "t\\" onclick=\\"steal()")',
    '<noscript><p title="</noscript><img src=x onerror=steal()>">',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=steal()&gt;">',
    '```\nnever closed <script>steal()</script>',
    '~~~~\n```\n<script>\n~~~',
  ];

  it('is text where it is hostile: no scripts, handlers, commands, forms or anything that loads', () => {
    for (const text of [...hostile, hostile.join('\n\n'), hostile.join('\n> ')]) {
      for (const element of rendered(text).querySelectorAll('*')) {
        assert.match(
          element.tagName,
          /^(?:P|BR|HR|BLOCKQUOTE|UL|OL|LI|PRE|CODE|EM|STRONG|S|A|H\d|TABLE|THEAD|TBODY|TR|TH|TD|DIV|FIGURE|SPAN|BUTTON)$/,
          text,
        );
        for (const { name, value } of element.attributes) {
          assert.match(
            name,
            /^(?:href|title|start|class|type|disabled|aria-hidden|data-action|data-info|tabindex|role|aria-label)$/,
            text,
          );
          if (name === 'href') assert.match(value, /^(?:https?:\/\/|mailto:)/, text);
          if (name === 'class') assert.match(value, /^[\w ._-]+$/, text);
        }
      }
    }
  });

  it('shows HTML as it was written', () => {
    assert.equal(rendered('a <b>c</b>').textContent.trim(), 'a <b>c</b>');
    const code = rendered('```html\n<script>x</script>\n```').querySelector('code');
    assert.equal(code?.textContent, '<script>x</script>\n');
  });

  it('links to the web alone, and to pictures instead of loading them', () => {
    const links = [
      ...rendered('[a](https://b.c) ![d](https://e.f/g.png) [h](i.ts)').querySelectorAll('a'),
    ];
    assert.deepEqual(
      links.map((link) => [link.textContent, link.getAttribute('href')]),
      [
        ['a', 'https://b.c'],
        ['d', 'https://e.f/g.png'],
        ['h', null],
      ],
    );
  });
});

describe('Markdown that grows', () => {
  const pieces = [
    ...[
      'word ',
      'two words',
      '\n',
      '\n',
      '\n\n',
      '\n\n',
      '  ',
      '    ',
      '# ',
      '- ',
      '* ',
      '1. ',
      '2) ',
    ],
    ...[
      '> ',
      '```',
      '```ts\n',
      '~~~',
      '`',
      '**',
      '_',
      '| a | b |',
      '\n|--|--|\n',
      '---',
      '===',
      '--|--',
    ],
    ...[
      '[x]',
      '[x]: https://a.b/c\n',
      '[y]: <d>\n',
      "'title\n",
      '[x](',
      ')',
      '<b>',
      '\\',
      '&amp;',
      '\t',
    ],
    ...['const a = "b";\n', '/* c\n', '*/', 'd\n  e\n'],
  ];

  it('is at every moment what it would be drawn at once', () => {
    for (let seed = 0; seed < 15; seed++) {
      const next = random(seed);
      const { root, stream } = newStream();
      let text = '';
      for (let i = 0; i < 30; i++) {
        text += pieces[Math.floor(next() * pieces.length)] ?? '';
        stream.show(text);
        if (next() < 0.8) continue;
        assert.equal(root.innerHTML, rendered(text).innerHTML, JSON.stringify(text));
      }
    }
  });

  const source = readFileSync(new URL('../../../../../extension/ctx.ts', import.meta.url), 'utf8');
  const answer = Array.from(
    { length: 40 },
    (_, i) => `## Part ${i}\n\nSome *words* on \`part${i}\`.\n\n- one\n- two\n\n`,
  ).join('');

  it('draws no more for an update late in an answer than early in it', () => {
    const { stream, root } = newStream();
    const nodes: number[] = [];
    for (let end = 0; end < answer.length; end += 23)
      nodes.push(stream.show(answer.slice(0, end)).nodes);
    assert.ok(Math.max(...nodes) < 12, String(Math.max(...nodes)));
    assert.ok(stream.settled.length > 100);
    const first = root.firstElementChild;
    stream.show(answer);
    assert.equal(root.firstElementChild, first);
  });

  it('draws the lines of code that change, and leaves the others', () => {
    const { stream } = newStream();
    const text = `\`\`\`ts\n${source}\`\`\`\n`;
    let late = 0;
    let all = 0;
    for (let end = 0; end < text.length + 31; end += 31) {
      const { lines } = stream.show(text.slice(0, end));
      all += lines;
      if (end > text.length / 2) late = Math.max(late, lines);
    }
    assert.ok(late < 40, `${late} lines at once`);
    assert.ok(all < text.length / 5, `${all} lines in all`);
  });

  it('starts anew with another text', () => {
    const { root, stream } = newStream();
    stream.show('one\n\ntwo\n\n```ts\nthree\n');
    stream.show('four');
    assert.equal(root.innerHTML, rendered('four').innerHTML);
    stream.show('');
    assert.equal(root.innerHTML, '');
  });
});

describe('Highlighter', () => {
  const source = readFileSync(new URL('../../../../../extension/ctx.ts', import.meta.url), 'utf8');
  const textOf = (lines: readonly (readonly { text: string }[])[]): string =>
    lines.map((line) => line.map(({ text }) => text).join('')).join('\n');

  it('keeps every character, and finds the same however the code came', () => {
    for (const code of [
      source,
      `/*\n${'line\n'.repeat(400)}*/\n${source}`,
      'a\r\n<b>&amp;"\'\n',
      '',
    ]) {
      const whole = new Highlighter('typescript').lines(code);
      assert.ok(textOf(whole.lines) === code);
      const growing = new Highlighter('typescript');
      const lines: unknown[] = [];
      for (let end = 0; end <= code.length + 250; end += 251) {
        const update = growing.lines(code.slice(0, end));
        lines.length = update.first;
        lines.push(...update.lines);
      }
      assert.deepEqual(lines, whole.lines);
    }
  });

  it('looks again at a bounded number of lines', () => {
    const highlighter = new Highlighter('typescript');
    highlighter.lines(source.repeat(5));
    const { lines } = highlighter.lines(`${source.repeat(5)}\n`);
    assert.ok(lines.length <= 81, `${lines.length} lines`);
  });

  it('shows code of an unknown language, and absurdly long lines, plain', () => {
    assert.deepEqual(new Highlighter(undefined).lines('let a').lines, [
      [{ classes: '', text: 'let a' }],
    ]);
    const long = `let a = "${'x'.repeat(9000)}"`;
    assert.deepEqual(new Highlighter('js').lines(long).lines, [[{ classes: '', text: long }]]);
  });
});
