import type { ModelInfo } from '../engine/addon.ts';
import type { Tokenizer } from '../engine/tokenizer.ts';

/** The token that every prompt starts with, where the model wants one. */
export const startOf = ({ bos, addBos }: Pick<ModelInfo, 'bos' | 'addBos'>): readonly number[] =>
  addBos && bos >= 0 ? [bos] : [];

/** Models that were never shown the marker that they have, by `general.name`: behind it they answer nothing now and then. */
const unusedMarkers: ReadonlySet<string> = new Set(['sightline-tiny-code']);

/** What stands before the first of several files: the start, and the repository's name where the model has a marker for it. */
export async function repositoryHead(
  info: Pick<ModelInfo, 'bos' | 'addBos' | 'fim' | 'name'>,
  tokenizer: Tokenizer,
  name: string,
): Promise<readonly number[]> {
  const start = startOf(info);
  const { repository } = info.fim;
  const isUsed = repository >= 0 && !unusedMarkers.has(info.name);
  if (!isUsed || name === '') return start;
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
