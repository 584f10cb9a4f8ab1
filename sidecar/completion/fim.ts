import type { FimTokens, ModelInfo } from '../engine/addon.ts';

/** Whether the model can fill in the middle; otherwise it only continues the prefix. */
export const canFillInTheMiddle = ({ prefix, suffix, middle }: FimTokens): boolean =>
  prefix >= 0 && suffix >= 0 && middle >= 0;

/** The markers of a model; generation ends at any of them. */
export const markersOf = (fim: FimTokens): number[] =>
  [fim.prefix, fim.suffix, fim.middle, fim.pad, fim.repository, fim.separator].filter(
    (token) => token >= 0,
  );

/** A prompt without its document: what stands before, between and after the two sides. */
export interface PromptFrame {
  readonly beforePrefix: readonly number[];
  readonly beforeSuffix: readonly number[];
  readonly afterSuffix: readonly number[];
}

/**
 * Prefix, suffix, middle, after a line with the file's name where the model has a separator for it.
 * Without markers: the prefix alone.
 */
export function promptFrame(
  { fim, bos, addBos }: Pick<ModelInfo, 'fim' | 'bos' | 'addBos'>,
  nameLine: Int32Array,
): PromptFrame {
  const start = addBos && bos >= 0 ? [bos] : [];
  if (!canFillInTheMiddle(fim)) return { beforePrefix: start, beforeSuffix: [], afterSuffix: [] };
  const name = fim.separator >= 0 ? [fim.separator, ...nameLine] : [];
  return {
    beforePrefix: [...start, ...name, fim.prefix],
    beforeSuffix: [fim.suffix],
    afterSuffix: [fim.middle],
  };
}
