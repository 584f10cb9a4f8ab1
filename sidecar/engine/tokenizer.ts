import type { NativeEngine } from './addon.ts';
import { joinTokens } from './tokens.ts';

/** Shortest piece, in characters. Typing tokenises one piece again, so pieces are kept small. */
const pieceLength = 512;
/** Pieces remembered: about a million characters of text. */
const rememberedPieces = 2048;

/**
 * Tokenises documents. Where the model's tokeniser allows it, a text is cut into pieces of whole
 * lines whose tokens are remembered, so that a keystroke costs one piece and not the file.
 */
export class Tokenizer {
  readonly #native: NativeEngine;
  readonly #cuttable: boolean;
  /** In order of use, oldest first. */
  readonly #pieces = new Map<string, Promise<Int32Array>>();

  private constructor(native: NativeEngine, cuttable: boolean) {
    this.#native = native;
    this.#cuttable = cuttable;
  }

  static async create(native: NativeEngine): Promise<Tokenizer> {
    // SentencePiece vocabularies put a space before every text: pieces would not add up to the whole.
    const pieces = ['let a = 1;\n', 'let b = 2;\n'];
    const [whole, ...parts] = await Promise.all(
      [pieces.join(''), ...pieces].map((text) => native.tokenize(text, false)),
    );
    return new Tokenizer(native, String(whole) === String(joinTokens(parts)));
  }

  /** Tokens of `text`; markers written in it stay text. */
  async tokenize(text: string): Promise<Int32Array> {
    const pieces = this.#cuttable ? cutAtLines(text) : [text];
    return joinTokens(await Promise.all(pieces.map((piece) => this.#piece(piece))));
  }

  /** Tokens cut out of a text, less those at a cut that are only a part of a character. */
  async wholeCharacters(
    tokens: Int32Array,
    cut: { readonly start: boolean; readonly end: boolean },
  ): Promise<Int32Array> {
    let [start, end] = [0, tokens.length];
    const textOf = (from: number, to: number): Promise<string> =>
      this.#native.detokenize(tokens.subarray(Math.max(0, from), to));
    // A character has at most four bytes, and so tokens.
    for (let i = 0; i < 3 && cut.start && start < end; i++, start++)
      if (!(await textOf(start, start + 4)).startsWith('\uFFFD')) break;
    for (let i = 0; i < 3 && cut.end && start < end; i++, end--)
      if (!(await textOf(end - 4, end)).endsWith('\uFFFD')) break;
    return tokens.subarray(start, end);
  }

  #piece(text: string): Promise<Int32Array> {
    const tokens = this.#pieces.get(text) ?? this.#native.tokenize(text, false);
    this.#pieces.delete(text);
    this.#pieces.set(text, tokens);
    tokens.catch(() => this.#pieces.delete(text));
    for (const oldest of this.#pieces.keys()) {
      if (this.#pieces.size <= rememberedPieces) break;
      this.#pieces.delete(oldest);
    }
    return tokens;
  }
}

/**
 * Cuts before lines that start with anything but white space: there no pre-tokeniser joins what
 * is before the cut to what is after it.
 */
export function cutAtLines(text: string): string[] {
  const pieces: string[] = [];
  const lineStart = /\n(?=\S)/g;
  let start = 0;
  for (;;) {
    lineStart.lastIndex = start + pieceLength;
    if (lineStart.exec(text) === null) break;
    pieces.push(text.slice(start, lineStart.lastIndex));
    start = lineStart.lastIndex;
  }
  if (start < text.length) pieces.push(text.slice(start));
  return pieces;
}
