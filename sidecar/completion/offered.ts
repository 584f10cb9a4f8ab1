import { markOf, restOf, type Mark, type Place, type Rest } from './place.ts';

/** Completions remembered of a document. */
const rememberedPerDocument = 16;
/** Documents of which completions are remembered. */
const rememberedDocuments = 64;

interface Offered {
  readonly mark: Mark;
  readonly completion: string;
}

/**
 * The completions that were offered lately. Typing what one of them says goes on with the rest of it, and taking that back
 * with what it said before: neither asks the model again.
 */
export class OfferedCompletions {
  /** By URI, the latest used last; of each document the latest first. */
  readonly #documents = new Map<string, Offered[]>();

  remember(place: Place, completion: string): void {
    const { uri } = place;
    const others = (this.#documents.get(uri) ?? []).slice(0, rememberedPerDocument - 1);
    this.#documents.delete(uri);
    this.#documents.set(uri, [{ mark: markOf(place), completion }, ...others]);
    for (const oldest of this.#documents.keys()) {
      if (this.#documents.size <= rememberedDocuments) break;
      this.#documents.delete(oldest);
    }
  }

  /** What is left of a completion that the document has been typed into; undefined: of none. */
  find(place: Place): Rest | undefined {
    for (const { mark, completion } of this.#documents.get(place.uri) ?? []) {
      const rest = restOf(completion, mark, place);
      if (rest !== undefined) return rest;
    }
    return undefined;
  }

  /** Everything is another model's now. */
  clear(): void {
    this.#documents.clear();
  }
}
