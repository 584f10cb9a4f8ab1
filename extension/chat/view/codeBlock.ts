import { Highlighter, languageOf, type Piece } from './highlight.ts';
import type { Code } from './markdown.ts';

export type CodeAction = 'copy' | 'insert' | 'apply';

/** What the buttons of a block of code are called, and what they do. */
export interface CodeButtons {
  readonly labels: Readonly<Record<CodeAction, string>>;
  /** What a screen reader says a block is, with `{0}` for its language. */
  readonly name: string;
  act(action: CodeAction, code: string, info: string): void;
}

const actions: readonly CodeAction[] = ['copy', 'insert', 'apply'];
const icons: Readonly<Record<CodeAction, string>> = {
  copy: 'copy',
  insert: 'insert',
  apply: 'diff',
};

/** A block of code with its buttons, which grows: lines that are as they were stay as they are. */
export class CodeBlock {
  readonly element = document.createElement('figure');
  readonly #name: string;
  readonly #pre = document.createElement('pre');
  readonly #title = document.createElement('span');
  readonly #bar = document.createElement('div');
  readonly #code = document.createElement('code');
  #language: string | undefined;
  #highlighter = new Highlighter(undefined);
  /** What each line shows, as a key. */
  #lines: string[] = [];
  #shown: Code = { text: '', info: '', isClosed: false };

  constructor(buttons: CodeButtons, shown: Code) {
    this.element.className = 'code';
    this.#bar.className = 'bar';
    this.#title.className = 'language';
    this.#name = buttons.name;
    // Scrolled by the keyboard too.
    this.#pre.tabIndex = 0;
    this.#pre.setAttribute('role', 'group');
    this.#pre.append(this.#code);
    this.#bar.append(this.#title);
    for (const action of actions) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'icon';
      button.title = buttons.labels[action];
      button.setAttribute('aria-label', buttons.labels[action]);
      const icon = document.createElement('span');
      icon.className = `codicon codicon-${icons[action]}`;
      icon.setAttribute('aria-hidden', 'true');
      button.append(icon);
      button.dataset['action'] = action;
      button.addEventListener('click', () => {
        buttons.act(action, this.#shown.text, this.#shown.info);
      });
      this.#bar.append(button);
    }
    this.element.append(this.#bar, this.#pre);
    this.show(shown);
  }

  /** Shows `code`. Returns the number of lines that were drawn. */
  show(code: Code): number {
    this.#shown = code;
    const [word = ''] = code.info.trim().split(/\s/u);
    this.#title.textContent = word;
    this.#pre.setAttribute('aria-label', this.#name.replace('{0}', word).trim());
    this.element.classList.toggle('open', !code.isClosed);
    for (const button of this.#bar.querySelectorAll('button')) button.disabled = !code.isClosed;
    const language = languageOf(code.info);
    if (language !== this.#language) this.#highlighter = new Highlighter(language);
    this.#language = language;
    const { first, lines } = this.#highlighter.lines(code.text);
    let drawn = 0;
    for (const [offset, pieces] of lines.entries()) {
      const index = first + offset;
      const key = JSON.stringify(pieces);
      if (this.#lines[index] === key) continue;
      this.#lines[index] = key;
      const line = lineOf(pieces);
      const old = this.#code.children.item(index);
      if (old === null) this.#code.append(line);
      else old.replaceWith(line);
      drawn += 1;
    }
    this.#lines.length = first + lines.length;
    while (this.#code.children.length > this.#lines.length) this.#code.lastElementChild?.remove();
    return drawn;
  }
}

function lineOf(pieces: readonly Piece[]): HTMLElement {
  const line = document.createElement('span');
  line.className = 'line';
  for (const { classes, text } of pieces) {
    if (classes === '') {
      line.append(text);
      continue;
    }
    const span = document.createElement('span');
    span.className = classes;
    span.textContent = text;
    line.append(span);
  }
  line.append('\n');
  return line;
}
