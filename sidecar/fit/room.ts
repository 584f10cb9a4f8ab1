import {
  memoryWithRoom,
  roomIn,
  takenBy,
  type Device,
  type Sized,
  type Taken,
} from '../models/fit.ts';
import { boundOf, cacheName, drops, keeperOf, type CacheSettings } from './caches.ts';
import { qualityOf, type Quality } from './quality.ts';

/** Where a model is to run: all of it there. */
export interface Place {
  readonly device: Device;
  /** All that there is, what is left to the system included. */
  readonly bytes: number;
}

/** One cache beside the weights of a model, with the context full. */
export interface CacheFit extends Taken {
  readonly name: string;
  readonly policy: CacheSettings['policy'];
  readonly tier: CacheSettings['tier'];
  /** most, least: `cacheBytes` is a bound; `auto` takes as much more as it may. */
  readonly bound: 'exact' | 'most' | 'least';
  /** FP16 bytes over bytes; 1 where there is no cache. */
  readonly ratio: number;
  readonly dropsTokens: boolean;
  readonly fits: boolean;
  /** What is left, of the memory or of what the cache may take; negative: what is lacking. */
  readonly spareBytes: number;
  /** The longest context that fits, as the model was trained at most (or as long as was asked for); 0: none. */
  readonly longestTokens: number;
  /** Memory that would do. */
  readonly memoryBytes: number;
  /** Absent: not measured. */
  readonly quality?: Quality;
}

/** A longer context is nobody's, where a file does not say how long it was trained. */
const mostTokens = 2 ** 24;
/** Lengths that are tried: as blocks come, so that what is taken only rises. */
const stepTokens = 128;

/** How a cache fits into a place, beside a model's weights. */
export function cacheFit(
  model: Sized,
  weightBytes: number,
  contextTokens: number,
  cache: CacheSettings,
  { device, bytes }: Place,
): CacheFit {
  const keeper = keeperOf(model);
  const at = (tokens: number): Taken => takenBy(model, weightBytes, tokens, cache);
  // `auto` bounds itself to half of what there is besides the weights.
  const bound = boundOf(cache, keeper);
  const own = bound === 'least' ? Math.max(0, bytes - weightBytes) / 2 : Infinity;
  const budget = cache.budgetMiB > 0 ? cache.budgetMiB * 2 ** 20 : own;
  const room = roomIn(bytes, device);
  const spareOf = (taken: Taken): number =>
    Math.min(room - sumOf(taken), budget - taken.cacheBytes);
  const taken = at(contextTokens);
  const full = takenBy(model, weightBytes, contextTokens, { ...cache, policy: 'full' });
  const spareBytes = spareOf(taken);
  const quality = keeper === 'sightline' ? qualityOf(cache, contextTokens) : undefined;
  return {
    ...taken,
    name: cacheName(cache),
    policy: cache.policy,
    tier: cache.tier,
    bound,
    ratio: taken.cacheBytes > 0 ? full.cacheBytes / taken.cacheBytes : 1,
    dropsTokens: drops(cache),
    fits: spareBytes >= 0,
    spareBytes,
    longestTokens: longest(
      Math.max(contextTokens, model.trainedTokens > 0 ? model.trainedTokens : mostTokens),
      (tokens) => spareOf(at(tokens)) >= 0,
    ),
    memoryBytes: Math.ceil(
      Math.max(
        memoryWithRoom(sumOf(taken), device),
        bound === 'least' ? weightBytes + 2 * taken.cacheBytes : 0,
      ),
    ),
    ...(quality === undefined ? {} : { quality }),
  };
}

export const sumOf = ({ weightBytes, cacheBytes, stepBytes }: Taken): number =>
  weightBytes + cacheBytes + stepBytes;

/** The longest that fits, up to `most`, in whole blocks below that. */
function longest(most: number, fits: (tokens: number) => boolean): number {
  if (fits(most)) return most;
  // What fits is below `high`, and `low` does.
  let [low, high] = [0, Math.ceil(most / stepTokens)];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle * stepTokens)) low = middle;
    else high = middle;
  }
  return low * stepTokens;
}
