/** Files named in a question: `#src/a.ts`, `#src/a.ts:10-20`, `#"with spaces.ts"`, `#src/` for a folder. */

export interface Mention {
  /** As it was written, without `#`, quotes and lines. */
  readonly path: string;
  /** From 0, inclusive. */
  readonly lines?: { readonly first: number; readonly last: number };
  /** Where it stands in the question. */
  readonly start: number;
  readonly end: number;
}

/** Not inside of a word or an address, such as `a#b`; `##` is a heading. */
const mention = /(?<![\p{L}\p{N}_#/&])#(?:"(?<quoted>[^"\n]+)"|(?<plain>[^\s#"'`<>()[\]{},;]+))/gu;
const range = /:(?<first>\d+)(?:-(?<last>\d+))?$/u;

/** The files that a question names. What stands in code is none: `#include`, CSS colours. */
export function parseMentions(question: string): Mention[] {
  const prose = question.replace(/```[\s\S]*?(?:```|$)|`[^`\n]*`/gu, (code) =>
    ' '.repeat(code.length),
  );
  const found: Mention[] = [];
  for (const match of prose.matchAll(mention)) {
    const { quoted, plain } = match.groups ?? {};
    // The end of a sentence is no part of a name.
    const written = quoted ?? plain?.replace(/[.:!?]+$/u, '') ?? '';
    const after =
      match.index +
      match[0].length -
      (quoted === undefined ? (plain?.length ?? 0) - written.length : 0);
    const part = range.exec(written);
    const path = part === null ? written : written.slice(0, part.index);
    if (path === '') continue;
    found.push({
      path,
      ...(part === null ? {} : { lines: linesOf(part) }),
      start: match.index,
      end: after,
    });
  }
  return found;
}

function linesOf({ groups }: RegExpExecArray): { first: number; last: number } {
  const first = Math.max(1, Number(groups?.['first'])) - 1;
  const last = Math.max(1, Number(groups?.['last'] ?? groups?.['first'])) - 1;
  return { first: Math.min(first, last), last: Math.max(first, last) };
}

/** How a file is named in a question. */
export const mentionOf = (path: string): string =>
  /^[^\s#"'`<>()[\]{},;]*[^\s#"'`<>()[\]{},;.:!?]$/u.test(path) ? `#${path}` : `#"${path}"`;

/** Whether a mention that names no file is likely to be meant as one: `#src/a.ts`, and neither `#12` nor `#include`. */
export const looksLikeFile = (path: string): boolean => /[/\\]|\.\p{L}[\p{L}\p{N}]*$/u.test(path);
