/** Lets a text through as it comes, up to the first of some marks. What may turn out to be one is held back. */
export class TextUpTo {
  readonly #marks: readonly string[];
  #held = '';
  #isFound = false;

  constructor(marks: readonly string[]) {
    this.#marks = marks;
  }

  get isFound(): boolean {
    return this.#isFound;
  }

  /** What is known to stand before a mark; nothing once one was found. */
  push(piece: string): string {
    if (this.#isFound) return '';
    const text = this.#held + piece;
    const found = this.#marks.map((mark) => text.indexOf(mark)).filter((at) => at >= 0);
    this.#isFound = found.length > 0;
    const end = this.#isFound ? Math.min(...found) : text.length - this.#beginning(text);
    this.#held = this.#isFound ? '' : text.slice(end);
    return text.slice(0, end);
  }

  /** What was held back: there is no more. */
  end(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  /** How many characters at the end of a text a mark may begin with. */
  #beginning(text: string): number {
    const lengths = this.#marks.map((mark) => {
      let length = Math.min(mark.length - 1, text.length);
      while (length > 0 && !text.endsWith(mark.slice(0, length))) length--;
      return length;
    });
    return Math.max(0, ...lengths);
  }
}
