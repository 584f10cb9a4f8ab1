import { applyHunks, hunksBetween, joinedHunks, linesOf, placesIn, type Hunk } from './hunks.ts';

/** A hunk that is neither accepted nor rejected; its id stays the same while others go. */
export interface OpenHunk extends Hunk {
  readonly id: number;
}

/** What is proposed for a document as it is now. */
export interface ProposalView {
  /** The document with the lines that go and, behind them, those that come. */
  readonly lines: readonly string[];
  /** Hunks that fit, in order, with `start` in the document as it is now. */
  readonly hunks: readonly (OpenHunk & {
    /** Its first line in `lines`. */ readonly line: number;
  })[];
  /** Hunks whose lines have been changed since. */
  readonly stale: readonly OpenHunk[];
}

/** Changes of a document, each to be accepted or rejected, while the document goes on changing. */
export class Proposal {
  /** The document that the starts of `#hunks` count in: as it was, with what has been accepted. */
  #base: readonly string[];
  #hunks: readonly OpenHunk[];

  constructor(before: string, after: string) {
    this.#base = linesOf(before);
    const hunks = joinedHunks(this.#base, hunksBetween(this.#base, linesOf(after)));
    this.#hunks = hunks.map((hunk, id) => ({ ...hunk, id }));
  }

  get isOver(): boolean {
    return this.#hunks.length === 0;
  }

  view(current: string): ProposalView {
    const lines = linesOf(current);
    const places = placesIn(lines, this.#base, this.#hunks);
    const shown: string[] = [];
    const hunks: ProposalView['hunks'][number][] = [];
    const stale: OpenHunk[] = [];
    let line = 0;
    for (const [index, hunk] of this.#hunks.entries()) {
      const start = places[index];
      if (start === undefined) {
        stale.push(hunk);
        continue;
      }
      shown.push(...lines.slice(line, start));
      hunks.push({ ...hunk, start, line: shown.length });
      shown.push(...hunk.removed, ...hunk.added);
      line = start + hunk.removed.length;
    }
    return { lines: [...shown, ...lines.slice(line)], hunks, stale };
  }

  /** The hunks are no longer open, and are in the document. Undone by what is returned, where they did not get there. */
  accept(ids: ReadonlySet<number>): () => void {
    const before = { base: this.#base, hunks: this.#hunks };
    const accepted = this.#hunks.filter(({ id }) => ids.has(id));
    this.#base = applyHunks(this.#base, accepted);
    this.#hunks = this.#hunks
      .filter(({ id }) => !ids.has(id))
      .map((hunk) => {
        const above = accepted.filter(({ start }) => start < hunk.start);
        const shift = above.reduce(
          (sum, { added, removed }) => sum + added.length - removed.length,
          0,
        );
        return { ...hunk, start: hunk.start + shift };
      });
    return () => {
      this.#base = before.base;
      this.#hunks = before.hunks;
    };
  }

  /** The hunks are no longer open. */
  reject(ids: ReadonlySet<number>): void {
    this.#hunks = this.#hunks.filter(({ id }) => !ids.has(id));
  }
}
