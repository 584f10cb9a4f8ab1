import hljs from 'highlight.js/lib/common';

/** A piece of a line and what highlight.js says it is: classes, or none. */
export interface Piece {
  readonly classes: string;
  readonly text: string;
}

/** Lines that are highlighted together before a cut is looked for, and the fewest before a cut. */
const windowLines = 80;
const leastLines = 40;
/** A longer line is no code that anyone reads: what has one is shown plain. */
const longestLine = 5000;

/** The name of a language as highlight.js knows it, for the first word of a fence's info string. */
export function languageOf(info: string): string | undefined {
  const [name = ''] = info
    .trim()
    .toLowerCase()
    .split(/[\s:,{]/u);
  return hljs.getLanguage(name) === undefined ? undefined : name;
}

/**
 * Highlights code that grows at its end, so that an update costs no more in long code than in short code: lines before a cut
 * are not looked at again. Where the cuts are depends on the code alone, not on how it grew: behind a line that no comment or
 * string goes beyond.
 */
export class Highlighter {
  readonly #language: string | undefined;
  readonly #done: Piece[][] = [];
  /** Of the lines that are done, with their ends. */
  #doneText = '';
  #window = windowLines;

  constructor(language: string | undefined) {
    this.#language = language;
  }

  /** The lines of `code` from `first` on, each in its pieces; the ones before are as they were. */
  lines(code: string): { readonly first: number; readonly lines: Piece[][] } {
    if (!code.startsWith(this.#doneText)) {
      this.#done.length = 0;
      this.#doneText = '';
      this.#window = windowLines;
    }
    const first = this.#done.length;
    let rest = code.slice(this.#doneText.length).split('\n');
    // The last line may go on: it is never in a window.
    while (rest.length > this.#window) {
      const lines = this.#highlight(rest.slice(0, this.#window));
      const cut = cutIn(lines);
      if (cut === undefined) {
        this.#window *= 2;
        continue;
      }
      this.#window = windowLines;
      this.#done.push(...lines.slice(0, cut).map(({ pieces }) => pieces));
      this.#doneText += rest.slice(0, cut).join('\n') + '\n';
      rest = rest.slice(cut);
    }
    const open = this.#highlight(rest).map(({ pieces }) => pieces);
    return { first, lines: [...this.#done.slice(first), ...open] };
  }

  #highlight(lines: readonly string[]): Line[] {
    const language = this.#language;
    if (language === undefined || lines.some(({ length }) => length > longestLine)) {
      return lines.map((text) => ({ pieces: text === '' ? [] : [{ classes: '', text }], open: 0 }));
    }
    return linesOf(hljs.highlight(lines.join('\n'), { language, ignoreIllegals: true }).value);
  }
}

interface Line {
  readonly pieces: Piece[];
  /** Spans that are open at its end. */
  readonly open: number;
}

/** The last line that the code can be cut before, rather one that is not indented; undefined: there is none. */
function cutIn(lines: readonly Line[]): number | undefined {
  const possible = lines
    .map((_, index) => index)
    .filter((index) => index >= leastLines && lines[index - 1]?.open === 0);
  const outer = possible.filter((index) => /^\S/u.test(lines[index]?.pieces[0]?.text ?? ''));
  return outer.at(-1) ?? possible.at(-1);
}

const entities: ReadonlyMap<string, string> = new Map([
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#x27;', "'"],
]);

/**
 * Takes the HTML that highlight.js writes apart: spans with a class, text, five entities. It is never given to the page as
 * HTML, and spans that go over several lines are cut at their ends.
 */
function linesOf(html: string): Line[] {
  const lines: Line[] = [];
  const open: string[] = [];
  let pieces: Piece[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') pieces.push({ classes: open.join(' '), text });
    text = '';
  };
  const parts = html.matchAll(/<span class="([^"]*)">|<\/span>|&[#\w]+;|\n|[^<&\n]+/gu);
  for (const [part, classes] of parts) {
    if (part === '\n') {
      flush();
      lines.push({ pieces, open: open.length });
      pieces = [];
    } else if (part === '</span>') {
      flush();
      open.pop();
    } else if (classes !== undefined) {
      flush();
      open.push(classes);
    } else {
      text += entities.get(part) ?? part;
    }
  }
  flush();
  return [...lines, { pieces, open: open.length }];
}
