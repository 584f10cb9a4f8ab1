import { CodeBlock, type CodeButtons } from './codeBlock.ts';
import { parseBlocks, renderBlock, type Block, type References } from './markdown.ts';

/** What an update had to draw: nodes of blocks that are no code, and lines of code. */
export interface Drawn {
  readonly nodes: number;
  readonly lines: number;
}

/** A block as it is on the page. */
interface Shown {
  readonly type: string;
  readonly source: string;
  readonly element: HTMLElement;
  readonly code?: CodeBlock;
}

/**
 * Shows Markdown that grows at its end. Blocks before the last one are drawn once: they are _settled_ when all their lines
 * and the first of what follows are whole, because no text behind that changes them, but for definitions of links.
 */
export class MarkdownStream {
  readonly #root: HTMLElement;
  readonly #buttons: CodeButtons;
  #text = '';
  /** How much of the text is settled, the definitions in it, and its number of blocks. */
  #settledText = 0;
  #settledReferences: References = {};
  #settledBlocks = 0;
  /** The definitions that what is on the page was drawn with. */
  #definitions = '{}';
  #shown: Shown[] = [];

  constructor(root: HTMLElement, buttons: CodeButtons) {
    this.#root = root;
    this.#buttons = buttons;
  }

  /** Blocks that no further text changes. */
  get settled(): readonly HTMLElement[] {
    return this.#shown.slice(0, this.#settledBlocks).map(({ element }) => element);
  }

  /** Shows `text`: what was shown before with more at its end, or another one, for which all is drawn anew. */
  show(text: string): Drawn {
    if (!text.startsWith(this.#text)) this.#forget();
    this.#text = text;
    let references = { ...this.#settledReferences };
    let blocks = parseBlocks(text.slice(this.#settledText), references);
    const definitions = JSON.stringify(references);
    if (definitions !== this.#definitions) {
      // A definition holds for what is before it as well.
      this.#forget();
      this.#text = text;
      this.#definitions = definitions;
      references = {};
      blocks = parseBlocks(text, references);
    }
    const drawn = this.#draw(blocks);
    this.#settle();
    return drawn;
  }

  #forget(): void {
    this.#text = '';
    this.#settledText = 0;
    this.#settledReferences = {};
    this.#settledBlocks = 0;
    this.#definitions = '{}';
    this.#shown = [];
    this.#root.replaceChildren();
  }

  #draw(blocks: readonly Block[]): Drawn {
    const lines = this.#text.slice(this.#settledText).split('\n');
    let nodes = 0;
    let codeLines = 0;
    blocks.forEach((block, index) => {
      const place = this.#settledBlocks + index;
      const old = this.#shown[place];
      const source = lines.slice(block.firstLine, block.endLine).join('\n');
      const type = block.tokens[0]?.type ?? '';
      if (old?.source === source && old.type === type) return;
      if (block.code !== undefined && old?.code !== undefined) {
        codeLines += old.code.show(block.code);
        this.#shown[place] = { ...old, type, source };
        return;
      }
      const fresh = this.#make(block, type, source);
      if (old === undefined) this.#root.append(fresh.element);
      else old.element.replaceWith(fresh.element);
      this.#shown[place] = fresh;
      nodes += fresh.element.querySelectorAll('*').length + 1;
    });
    for (const { element } of this.#shown.splice(this.#settledBlocks + blocks.length)) {
      element.remove();
    }
    return { nodes, lines: codeLines };
  }

  #make(block: Block, type: string, source: string): Shown {
    if (block.code !== undefined) {
      const code = new CodeBlock(this.#buttons, block.code);
      return { type, source, element: code.element, code };
    }
    const element = document.createElement('div');
    element.className = 'block';
    element.append(renderBlock(block));
    for (const pre of element.querySelectorAll('pre')) {
      const text = pre.textContent.replace(/\n$/u, '');
      const code = { text, info: pre.dataset['info'] ?? '', isClosed: true };
      pre.replaceWith(new CodeBlock(this.#buttons, code).element);
    }
    return { type, source, element };
  }

  /** Settles what whole lines alone decide: all before the block that the last whole line is in. */
  #settle(): void {
    const end = this.#text.lastIndexOf('\n') + 1;
    if (end <= this.#settledText) return;
    const whole = this.#text.slice(this.#settledText, end);
    const references = { ...this.#settledReferences };
    const blocks = parseBlocks(whole, references);
    const last = blocks.at(-1);
    const previous = blocks.at(-2);
    if (last === undefined || previous === undefined) return;
    const lines = whole.split('\n').slice(0, last.firstLine);
    // What seems a block behind a definition may be its title, once that is whole.
    if (previous.endLine < last.firstLine && lines.at(-1)?.trim() !== '') return;
    const before = `${lines.join('\n')}\n`;
    parseBlocks(before, this.#settledReferences);
    this.#settledText += before.length;
    this.#settledBlocks += blocks.length - 1;
  }
}
