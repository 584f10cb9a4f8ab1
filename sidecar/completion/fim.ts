import type { FimTokens, ModelInfo } from '../engine/addon.ts';

/** Whether the model can fill in the middle; otherwise it only continues the prefix. */
export const canFillInTheMiddle = ({ prefix, suffix, middle }: FimTokens): boolean =>
  prefix >= 0 && suffix >= 0 && middle >= 0;

/** The markers of a model; generation ends at any of them. */
export const markersOf = (fim: FimTokens): number[] =>
  [fim.prefix, fim.suffix, fim.middle, fim.pad, fim.repository, fim.separator].filter(
    (token) => token >= 0,
  );

/** Puts the two sides of a document among the markers that tell the model which is which. */
export interface PromptFrame {
  /** Tokens it adds. */
  readonly length: number;
  readonly join: (prefix: Int32Array, suffix: Int32Array) => Int32Array;
}

/**
 * Models that fill in better with the suffix first, by `general.name`; they also keep more of their
 * cache, since typing then only appends. The order is the SPM of Bavarian et al., arXiv 2207.14255:
 * all markers lie before the prefix, and the model goes on where it ends.
 */
const suffixFirst: readonly RegExp[] = [/^sightline-tiny-code$/];

/**
 * Prefix, suffix, middle, or suffix, prefix, middle, after the file's head where the model has a
 * separator for it. Without markers: the prefix alone.
 */
export function promptFrame(
  { fim, name }: Pick<ModelInfo, 'fim' | 'name'>,
  head: readonly number[],
): PromptFrame {
  const lead = fim.separator >= 0 ? head : [];
  const fills = canFillInTheMiddle(fim);
  const tokens = (prefix: Int32Array, suffix: Int32Array): number[] => {
    if (!fills) return [...prefix];
    return suffixFirst.some((model) => model.test(name))
      ? [...lead, fim.prefix, fim.suffix, ...suffix, fim.middle, ...prefix]
      : [...lead, fim.prefix, ...prefix, fim.suffix, ...suffix, fim.middle];
  };
  const none = new Int32Array();
  return {
    length: tokens(none, none).length,
    join: (prefix, suffix) => Int32Array.from(tokens(prefix, suffix)),
  };
}
