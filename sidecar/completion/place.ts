/** What is compared of the text on either side of the cursor. */
const reach = 2048;

/** The most closing brackets and quotes that an editor puts behind the cursor by itself. */
const mostClosed = 4;

/** A cursor in a document. */
export interface Place {
  readonly uri: string;
  readonly text: string;
  /** In UTF-16 code units from the start of `text`. */
  readonly offset: number;
}

/** What is kept of a place to know it again. */
export interface Mark {
  readonly uri: string;
  readonly before: string;
  readonly after: string;
  readonly offset: number;
  /** Characters of the whole document. */
  readonly length: number;
}

/** A copy of its own: a slice would keep the whole document in memory. */
const copyOf = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le');

export const markOf = ({ uri, text, offset }: Place): Mark => ({
  uri,
  before: copyOf(text.slice(Math.max(0, offset - reach), offset)),
  after: copyOf(text.slice(offset, offset + reach)),
  offset,
  length: text.length,
});

/** What has come to a document since it was marked. */
export interface Typed {
  /** Before the cursor, with `\n` for every end of a line. */
  readonly text: string;
  /** The closing brackets and quotes that the editor added behind it. */
  readonly closed: string;
}

/** What was typed at the marked place; undefined where anything else has changed. */
export function typedSince(
  { uri, before, after, offset, length }: Mark,
  place: Place,
): Typed | undefined {
  const { text } = place;
  const typed = place.offset - offset;
  const end = place.offset + text.length - length - typed;
  if (place.uri !== uri || typed < 0 || end < place.offset || end > place.offset + mostClosed)
    return undefined;
  const closed = text.slice(place.offset, end);
  const same =
    /^[)\]}>'"`]*$/.test(closed) &&
    text.slice(Math.max(0, offset - reach), offset) === before &&
    text.slice(end, end + reach) === after;
  return same
    ? { text: text.slice(offset, place.offset).replaceAll('\r\n', '\n'), closed }
    : undefined;
}

/** What is left of a completion. */
export interface Rest {
  readonly text: string;
  /** So many characters behind the cursor are in `text` as well. */
  readonly replaces: number;
}

/** What is left of a completion that was offered at `mark` after some of it was typed; undefined: something else was. */
export function restOf(completion: string, mark: Mark, place: Place): Rest | undefined {
  const typed = typedSince(mark, place);
  if (typed === undefined) return undefined;
  const lineEnd = completion.includes('\r\n') ? '\r\n' : '\n';
  const written = typed.text.replaceAll('\n', lineEnd);
  const text = completion.slice(written.length);
  if (text === '' || !completion.startsWith(written) || !hasInOrder(text, typed.closed))
    return undefined;
  return { text, replaces: typed.closed.length };
}

function hasInOrder(text: string, characters: string): boolean {
  let from = 0;
  for (const character of characters) {
    const at = text.indexOf(character, from);
    if (at < 0) return false;
    from = at + 1;
  }
  return true;
}

/** Whether the cursor is in a word, or in front of one: what is typed there changes that word. */
export const isBeforeWord = ({ text, offset }: Place): boolean =>
  /^[\p{L}\p{N}_$]/u.test(text.slice(offset, offset + 2));
