import type { ModelInfo } from '../engine/addon.ts';
import type { Tokenizer } from '../engine/tokenizer.ts';

/** The token that every prompt starts with, where the model wants one. */
export const startOf = ({ bos, addBos }: Pick<ModelInfo, 'bos' | 'addBos'>): readonly number[] =>
  addBos && bos >= 0 ? [bos] : [];

/** What stands before the first of several files: the start, and the repository's name where the model has a marker for it. */
export async function repositoryHead(
  info: Pick<ModelInfo, 'bos' | 'addBos' | 'fim'>,
  tokenizer: Tokenizer,
  name: string,
): Promise<readonly number[]> {
  const start = startOf(info);
  const { repository } = info.fim;
  if (repository < 0 || name === '') return start;
  return [...start, repository, ...(await tokenizer.tokenize(`${name}\n`))];
}

/** What stands before a file: its name, after the separator of files where the model has one. */
export async function fileHead(
  { fim }: Pick<ModelInfo, 'fim'>,
  tokenizer: Tokenizer,
  name: string,
): Promise<readonly number[]> {
  const line = await tokenizer.tokenize(`${name}\n`);
  return fim.separator >= 0 ? [fim.separator, ...line] : [...line];
}
