import type { Filling } from '../completion/requests.ts';
import type { SyntaxParser } from '../syntax/parser.ts';
import { bracketOf, errorsOf, isOpenQuote, tokensFrom } from '../syntax/tree.ts';

/** What a model wrote between the brackets of a call. */
export interface WrittenArguments {
  readonly text: string;
  readonly count: number;
}

const closers: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/**
 * The arguments that are written behind `head`, up to the bracket that closes them: `head` is the line up to the opening
 * one, `given` what stands there. Undefined where brackets or quotes stay open, where there are more errors than with what is
 * given, or it takes too long to find out.
 */
export function argumentsIn(
  parser: SyntaxParser,
  head: string,
  { text, isCutOff }: Filling,
  given: string,
): WrittenArguments | undefined {
  const before = (parser.language.opening ?? '') + head;
  const written = closedIn(parser, before, isCutOff ? text : `${text})`);
  const errorsWith = (list: string): number =>
    parser.read(`${before}${list})`, errorsOf) ?? Infinity;
  return written !== undefined && errorsWith(written.text) <= errorsWith(given)
    ? written
    : undefined;
}

const closedIn = (
  parser: SyntaxParser,
  before: string,
  answer: string,
): WrittenArguments | undefined =>
  parser.read(before + answer, (tree) => {
    const open: string[] = [];
    let count = 0;
    let isBehindComma = true;
    for (const token of tokensFrom(tree, before.length)) {
      if (isOpenQuote(token)) return undefined;
      const turn = bracketOf(token);
      if (turn < 0 && open.length === 0)
        return token.type === ')'
          ? { text: answer.slice(0, token.start - before.length).trim(), count }
          : undefined;
      if (turn < 0 && open.pop() !== token.type) return undefined;
      const isComma = open.length === 0 && token.type === ',';
      if (isBehindComma && !isComma) count++;
      isBehindComma = isComma;
      if (turn > 0) open.push(closers[token.type.slice(-1)] ?? '');
    }
    return undefined;
  });
