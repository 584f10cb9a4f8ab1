/** What is compared of the text on either side of the cursor. */
const reach = 2048;

/** Completions remembered of a document. */
const rememberedPerDocument = 16;
/** Documents of which completions are remembered. */
const rememberedDocuments = 64;

/** A place in a document. */
export interface Place {
  readonly uri: string;
  readonly text: string;
  readonly offset: number;
}

interface Offered {
  readonly before: string;
  readonly after: string;
  /** Characters of the whole document. */
  readonly length: number;
  readonly completion: string;
}

/**
 * The completions that were offered lately. Typing what one of them says goes on with the rest of it, and taking that back
 * with what it said before: neither asks the model again.
 */
export class OfferedCompletions {
  /** By URI, the latest used last; of each document the latest first. */
  readonly #documents = new Map<string, Offered[]>();

  remember({ uri, text, offset }: Place, completion: string): void {
    const others = (this.#documents.get(uri) ?? []).slice(0, rememberedPerDocument - 1);
    const offered = {
      before: text.slice(Math.max(0, offset - reach), offset),
      after: text.slice(offset, offset + reach),
      length: text.length,
      completion,
    };
    this.#documents.delete(uri);
    this.#documents.set(uri, [offered, ...others]);
    for (const oldest of this.#documents.keys()) {
      if (this.#documents.size <= rememberedDocuments) break;
      this.#documents.delete(oldest);
    }
  }

  /** What is left of a completion that the document has been typed into; undefined: of none. */
  find({ uri, text, offset }: Place): string | undefined {
    for (const { before, after, length, completion } of this.#documents.get(uri) ?? []) {
      const typed = text.length - length;
      if (typed < 0 || typed >= completion.length) continue;
      const start = offset - typed;
      if (
        start >= 0 &&
        completion.startsWith(text.slice(start, offset)) &&
        text.slice(Math.max(0, start - reach), start) === before &&
        text.slice(offset, offset + reach) === after
      )
        return completion.slice(typed);
    }
    return undefined;
  }

  /** Everything is another model's now. */
  clear(): void {
    this.#documents.clear();
  }
}
