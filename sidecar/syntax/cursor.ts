import { around, type Around } from './around.ts';
import { endOf, isEnded, wholeWords } from './ending.ts';
import { languageOf } from './languages.ts';
import type { Grammars } from './parser.ts';
import { isLineWritten, reachOf, type Reach } from './reach.ts';

export interface CursorPlace {
  /** The file's name. */
  readonly name: string;
  /** What the editor calls the file's language. */
  readonly languageId?: string | undefined;
  readonly before: string;
  readonly after: string;
  readonly anywhere?: boolean;
}

/** The syntax around a cursor, and what it says of an answer there. */
export class CursorSyntax {
  readonly #around: Around;
  readonly reach: Reach;
  /** What was asked about last. */
  #written = '';
  #isEnded = false;

  private constructor(around: Around, reach: Reach) {
    this.#around = around;
    this.reach = reach;
  }

  /**
   * Undefined where the file's language has no grammar, no line starts near the cursor, or parsing takes longer than
   * `milliseconds`. Whoever gets it closes it. `anywhere`: several lines are wanted wherever the cursor is.
   */
  static async at(
    { name, languageId, before, after, anywhere = false }: CursorPlace,
    grammars: Grammars,
    milliseconds?: number,
  ): Promise<CursorSyntax | undefined> {
    const language = languageOf(name, languageId);
    const parser = language && (await grammars.parserOf(language, milliseconds));
    if (parser === undefined) return undefined;
    const code = around(parser, before, after);
    const reach = code && reachOf(code);
    if (code !== undefined && reach !== undefined)
      return new CursorSyntax(code, anywhere ? 'lines' : reach);
    parser.close();
    return undefined;
  }

  /** Where an answer of several lines ends; undefined when it takes too long to find out. */
  endOf(answer: string): number | undefined {
    return endOf(this.#around, answer);
  }

  /**
   * Whether nothing that the model writes behind `answer` would be offered any more; but that the code below may lack it is
   * not waited for.
   */
  isComplete(answer: string): boolean {
    if (this.reach === 'line') return isLineWritten(answer);
    const written = wholeWords(answer);
    if (written !== this.#written) {
      this.#written = written;
      this.#isEnded = isEnded(this.#around, written);
    }
    return this.#isEnded;
  }

  close(): void {
    this.#around.parser.close();
  }
}
