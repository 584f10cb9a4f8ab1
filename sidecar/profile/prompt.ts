import { startOf } from '../context/head.ts';
import type { ModelInfo } from '../engine/addon.ts';
import type { Tokenizer } from '../engine/tokenizer.ts';
import { joinTokens } from '../engine/tokens.ts';

/** Source code for a prompt of any length; what it says does not matter. */
export const sampleSource = `import { readFile } from 'node:fs/promises';

/** An entry of the stock list: how many there are, and the price of one in cents. */
export interface Article {
  readonly name: string;
  readonly count: number;
  readonly price: number;
}

/** Reads lines of "name;count;price"; what is empty or starts with # is left out. */
export async function readArticles(path: string): Promise<Article[]> {
  const text = await readFile(path, 'utf8');
  const articles: Article[] = [];
  for (const [index, line] of text.split('\\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [name, count, price] = line.split(';');
    if (name === undefined || count === undefined || price === undefined) {
      throw new Error(\`line \${index + 1} is not "name;count;price"\`);
    }
    articles.push({ name, count: Number(count), price: Number(price) });
  }
  return articles;
}

/** What all articles are worth, in cents. */
export function worthOf(articles: readonly Article[]): number {
  let worth = 0;
  for (const { count, price } of articles) worth += count * price;
  return worth;
}

/** The articles of which there are fewest, at most \`most\` of them. */
export function scarce(articles: readonly Article[], most: number): Article[] {
  return [...articles].sort((one, other) => one.count - other.count).slice(0, most);
}
`;

/** The tokens of a text, after the one that texts start with; with `count` so many of them, the text repeated or cut. */
export async function promptTokens(
  info: Pick<ModelInfo, 'bos' | 'addBos'>,
  tokenizer: Tokenizer,
  text: string,
  count: number | undefined,
): Promise<Int32Array> {
  const start = startOf(info);
  const once = await tokenizer.tokenize(text);
  if (count === undefined || once.length === 0) return joinTokens([start, once]);
  const copies = Math.ceil(count / once.length);
  return joinTokens([start, ...Array.from({ length: copies }, () => once)]).slice(0, count);
}
