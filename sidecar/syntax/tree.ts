import type { Node, Tree } from 'web-tree-sitter';

/** A bracket, a word, ... of the code; a string or a comment is one token. */
export interface Token {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/** Its inside is no code; a lifetime (Rust) starts with a quote. */
const isText = (type: string): boolean =>
  /string|template_literal|comment|heredoc|regex|char|lifetime/.test(type);

/** The tokens that end behind `from`. They can be relied on where errors make nodes of little use. */
export function* tokensFrom(tree: Tree, from: number): Generator<Token> {
  const cursor = tree.walk();
  try {
    for (;;) {
      const { nodeType: type, startIndex: start, endIndex: end } = cursor;
      const isPassed = end <= from;
      if (!isPassed && !isText(type) && cursor.gotoFirstChild()) continue;
      if (!isPassed && start < end) yield { type, start, end };
      while (!cursor.gotoNextSibling()) if (!cursor.gotoParent()) return;
    }
  } finally {
    cursor.delete();
  }
}

/** By how many brackets a token goes deeper. */
export function bracketOf({ type }: Token): number {
  if (/^(?:[([{]|[$#]\{)$/.test(type)) return 1;
  return /^[)\]}]$/.test(type) ? -1 : 0;
}

/** Whether a token starts a string of several lines that nothing closes: the ones that are closed are one token. */
export const isOpenQuote = ({ type }: Token): boolean => /^(?:`|\w*string_start)$/.test(type);

/** How many errors the parser has found, and what it had to add. */
export function errorsOf({ rootNode }: Tree): number {
  let errors = 0;
  const left: Node[] = [rootNode];
  for (let node = left.pop(); node !== undefined; node = left.pop()) {
    if (node.isError || node.isMissing) errors++;
    if (node.hasError) left.push(...node.children);
  }
  return errors;
}

/** Whether `offset` is inside of a string or a comment, or behind a quote that nothing closes on its line. */
export function isInText(tree: Tree, offset: number, lineStart: number): boolean {
  for (const token of tokensFrom(tree, lineStart)) {
    const { type, start, end } = token;
    if (start >= offset) return false;
    if (isOpenQuote(token) || /^["']$/.test(type)) return true;
    if (!isText(type)) continue;
    // A comment up to the end of its line goes on there.
    const isLineComment = end === offset && type.includes('comment') && isOpenAt(tree, end);
    if (end > offset || isLineComment) return true;
  }
  return false;
}

const isOpenAt = (tree: Tree, end: number): boolean =>
  !/(?:\*\/|=end|\n)$/.test(tree.rootNode.descendantForIndex(end - 1, end)?.text ?? '');
