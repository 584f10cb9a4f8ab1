import type { CodeButtons } from './codeBlock.ts';
import { MarkdownStream } from './stream.ts';

/** After drawing for some time the next drawing waits this many times as long, so that the page stays free for its user. */
const restFactor = 3;

/** The text of an answer, drawn at most once a frame however fast it comes. */
export class AnswerView {
  readonly element = document.createElement('div');
  readonly #stream: MarkdownStream;
  readonly #onDrawn: () => void;
  #text = '';
  #frame = 0;
  #notBefore = 0;

  /** `onDrawn` is called after each drawing. */
  constructor(buttons: CodeButtons, onDrawn: () => void) {
    this.element.className = 'markdown';
    this.#stream = new MarkdownStream(this.element, buttons);
    this.#onDrawn = onDrawn;
  }

  /** Blocks that no further text changes. */
  get settled(): readonly HTMLElement[] {
    return this.#stream.settled;
  }

  get isEmpty(): boolean {
    return this.#text === '';
  }

  append(text: string): void {
    this.#text += text;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#next);
  }

  /** Shows all of an answer at once. */
  set(text: string): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#text = text;
    this.#draw();
  }

  readonly #next = (now: number): void => {
    if (now < this.#notBefore) {
      this.#frame = requestAnimationFrame(this.#next);
      return;
    }
    this.#frame = 0;
    this.#draw();
  };

  #draw(): void {
    const begun = performance.now();
    this.#stream.show(this.#text);
    this.#onDrawn();
    const end = performance.now();
    this.#notBefore = end + restFactor * (end - begun);
  }
}
