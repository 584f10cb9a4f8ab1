import type { Language } from './languages.ts';
import type { SyntaxParser } from './parser.ts';

/** Characters that are parsed on either side of the cursor. */
const farthestBefore = 16 * 1024;
const farthestAfter = 4 * 1024;

/** What is parsed around a cursor. */
export interface Around {
  readonly parser: SyntaxParser;
  readonly language: Language;
  readonly before: string;
  readonly after: string;
}

/** Whole lines around a cursor; undefined where none starts near it. */
export function around(parser: SyntaxParser, before: string, after: string): Around | undefined {
  const { language } = parser;
  const start = startOf(before);
  if (start === undefined) return undefined;
  const seen = before.slice(start);
  const { opening = '' } = language;
  const isOpened = opening === '' || seen.includes(opening.trimEnd());
  const end = after.length <= farthestAfter ? undefined : after.lastIndexOf('\n', farthestAfter);
  return {
    parser,
    language,
    before: isOpened ? seen : opening + seen,
    after: after.slice(0, end),
  };
}

/** At a declaration if there is one: what is whole has few errors. */
function startOf(before: string): number | undefined {
  if (before.length <= farthestBefore) return 0;
  const first = before.indexOf('\n', before.length - farthestBefore) + 1;
  if (first === 0) return undefined;
  return first + Math.max(0, before.slice(first).search(/^[\w@#/]/m));
}
