/**
 * The part of a document that a completion looks at. Both sides have line ends as `\n` alone, which
 * is how models see code.
 */
export interface Excerpt {
  readonly prefix: string;
  readonly suffix: string;
  /** Where in the document it starts, is cut and ends; characters after it. */
  readonly start: number;
  readonly cursor: number;
  readonly end: number;
  readonly after: number;
  /** The space that the prefix ended in was taken off. */
  readonly endsInSpace: boolean;
  /** How the document ends its lines. */
  readonly lineEnd: '\n' | '\r\n';
}

/**
 * Takes at most about `reach` characters on either side of `offset`, so that a document of any size
 * costs the same. Where the document goes on further back, the start lies on a multiple of a quarter of
 * `reach`: it stays put while the cursor moves a little, and what is cached of the prefix stays valid.
 */
export function excerptAt(text: string, offset: number, reach: number): Excerpt {
  const cursor = wholeCharacter(text, Math.min(Math.max(offset, 0), text.length));
  const step = Math.max(1, Math.floor(reach / 4));
  const start = wholeCharacter(text, Math.max(0, Math.floor((cursor - reach) / step) * step));
  const end = wholeCharacter(text, Math.min(text.length, cursor + reach));
  const prefix = text.slice(start, cursor);
  const suffix = text.slice(cursor, end);
  return {
    prefix: prefix.replaceAll('\r\n', '\n'),
    suffix: suffix.replaceAll('\r\n', '\n'),
    start,
    cursor,
    end,
    after: text.length - end,
    endsInSpace: false,
    lineEnd: prefix.includes('\r\n') || suffix.includes('\r\n') ? '\r\n' : '\n',
  };
}

/** Steps back from inside a surrogate pair or a `\r\n`. */
function wholeCharacter(text: string, offset: number): number {
  const inside = /^(?:\r\n|[\uD800-\uDBFF][\uDC00-\uDFFF])$/.test(
    text.slice(Math.max(0, offset - 1), offset + 1),
  );
  return inside ? offset - 1 : offset;
}

/**
 * The same without the space before the cursor, which the completion is to start with: the tokens of models have the space
 * in front of a word, and behind a single one they would write another.
 */
export function withoutLastSpace(excerpt: Excerpt): Excerpt {
  const { prefix, cursor } = excerpt;
  return prefix.endsWith(' ')
    ? { ...excerpt, prefix: prefix.slice(0, -1), cursor: cursor - 1, endsInSpace: true }
    : excerpt;
}
