import { bytes, change, count, percent, short } from '../cli/output.ts';
import { memoryWithRoom, roomIn } from '../models/fit.ts';
import type { Keeper } from './caches.ts';
import { measuredSpeed, qualitySource } from './quality.ts';
import type { CacheFit, Place } from './room.ts';

/** What there is to choose from. */
interface Situation {
  readonly contextTokens: number;
  readonly place: Place;
  /** 0: the cache has no bound of its own. */
  readonly budgetMiB: number;
  readonly keeper: Keeper;
  /** Caches that keep every token, the least lossy first; the first one is FP16. */
  readonly ladder: readonly CacheFit[];
  /** Caches that drop tokens: for whoever asks for them. */
  readonly dropping: readonly CacheFit[];
}

/** Which cache to take, for people to read. */
export interface Recommendation {
  /** Its name; absent: none that keeps every token fits. */
  readonly cache?: string;
  readonly reason: string;
  /** What would do, where none fits. */
  readonly advice: readonly string[];
  /** What a rule by the length of the context alone says, and why this is the same or another. */
  readonly byLength: { readonly cache: string; readonly agrees: boolean; readonly reason: string };
}

/** The least lossy cache that fits. The length of the context decides nothing by itself, and no token is dropped unasked. */
export function recommend(situation: Situation): Recommendation {
  const { ladder } = situation;
  const at = ladder.findIndex(({ fits }) => fits);
  const chosen = ladder[at];
  const byLength = ruleByLength(situation, chosen);
  if (chosen === undefined) {
    return { reason: whyNothing(situation), advice: adviceFor(situation), byLength };
  }
  const before = ladder[at - 1];
  const reason = before === undefined ? whyFull(situation, chosen) : whyCoded(before, chosen);
  return { cache: chosen.name, reason, advice: [], byLength };
}

/** Why fewer bits are not counted on where llama.cpp has a part in the cache. */
const useless: Readonly<Record<Exclude<Keeper, 'sightline'>, string>> = {
  windows:
    'some layers of this model have windows of their own, and a short cache of llama.cpp; which, the header does not say, so that it may take less, and fewer bits are not counted on',
  uneven:
    'keys and values of this model are of sizes that only llama.cpp has a cache for, in FP16 whatever is asked for',
  none: 'its header tells of no KV cache that could be held in fewer bits',
};

function whyFull({ ladder, keeper, contextTokens }: Situation, full: CacheFit): string {
  const fits = `it fits with ${bytes(full.spareBytes)} to spare`;
  if (keeper !== 'sightline') return `${fits}; ${useless[keeper]}`;
  if (ladder.every(({ cacheBytes }) => cacheBytes >= full.cacheBytes)) {
    return `${fits}, and ${count(contextTokens)} tokens are all among those that stay FP16 anyway`;
  }
  const { ratio, depth, where, file } = measuredSpeed;
  return `${fits}; with fewer bits there is nothing to gain but speed at depth: int8 decodes ${ratio}x as fast after ${count(depth)} tokens (${where}, ${file})`;
}

function whyCoded(before: CacheFit, chosen: CacheFit): string {
  const { spareBytes, quality, ratio } = chosen;
  const cost =
    quality === undefined
      ? 'what it costs was not measured'
      : `with it the likeliest token was the same after ${percent(quality.sameTop)} of the tokens, and perplexity changed by ${change(quality.perplexityChange)} (${qualitySource.model}, ${qualitySource.file})`;
  return `${before.name} lacks ${bytes(-before.spareBytes)}; this is the least lossy that fits, ${short(ratio)}x smaller than FP16, with ${bytes(spareBytes)} to spare; ${cost}`;
}

function whyNothing({ ladder, place, keeper, contextTokens, budgetMiB }: Situation): string {
  const last = ladder.at(-1);
  if (last === undefined) return 'there is no cache to choose from';
  const room = roomIn(place.bytes, place.device);
  const without = last.weightBytes + last.stepBytes;
  if (without > room) {
    return `the weights and a step of prefill alone take ${bytes(without)}, and there is room for ${bytes(room)}`;
  }
  const bound = budgetMiB > 0 && last.cacheBytes > budgetMiB * 2 ** 20;
  const limit = bound ? `the ${budgetMiB} MiB of --budget` : `${bytes(place.bytes)} of memory`;
  const lacks = `at ${count(contextTokens)} tokens even ${last.name} lacks ${bytes(-last.spareBytes)} of ${limit}`;
  return keeper === 'sightline' ? lacks : `${lacks}; ${useless[keeper]}`;
}

function adviceFor({ ladder, dropping, place, budgetMiB }: Situation): string[] {
  const last = ladder.at(-1);
  if (last === undefined) return [];
  const advice: string[] = [];
  if (last.longestTokens > 0) {
    advice.push(
      `a shorter context: ${last.name} fits up to ${count(last.longestTokens)} tokens (--context ${last.longestTokens})`,
    );
  }
  if (budgetMiB > 0 && last.cacheBytes > budgetMiB * 2 ** 20) {
    const needed = Math.ceil(last.cacheBytes / 2 ** 20);
    advice.push(`a higher bound: ${last.name} takes --budget ${needed}`);
  }
  const room = roomIn(place.bytes, place.device);
  const weights = room - last.cacheBytes - last.stepBytes;
  if (weights > 0 && weights < last.weightBytes) {
    advice.push(`a smaller quantisation or model: weights of at most ${bytes(weights)}`);
  }
  const needed = last.weightBytes + last.cacheBytes + last.stepBytes;
  if (needed > room) {
    const memory = memoryWithRoom(needed, place.device);
    advice.push(`more memory: ${roundedUp(memory)} hold it with ${last.name}`);
    if (place.device === 'gpu') {
      advice.push('the CPU for the layers that the GPU has no room for, which is slower');
    }
  }
  const names = dropping.filter(({ fits }) => fits).map(({ name }) => name);
  if (names.length > 0) {
    advice.push(
      `a cache that loses tokens for good, which nothing here does unasked: ${names.join('; ')}`,
    );
  }
  return advice;
}

/** So that as much as is said is enough. */
function roundedUp(value: number): string {
  const unit = value < 2 ** 30 ? 2 ** 20 : 2 ** 30;
  return bytes((Math.ceil((value / unit) * 100) / 100) * unit);
}

/** Contexts shorter than the first go uncompressed, those up to the second in int8. */
const lengths = { full: 8192, int8: 32_768 } as const;

function ruleByLength(
  { contextTokens, ladder, keeper }: Situation,
  chosen: CacheFit | undefined,
): Recommendation['byLength'] {
  const [full, int8] = ladder;
  const isShort = contextTokens < lengths.full;
  const isLong = contextTokens > lengths.int8;
  const rule = isShort ? full : int8;
  const cache = `${rule?.name ?? 'full'}${isLong ? ' with pruning' : ''}`;
  if (!isLong && rule?.name === chosen?.name) {
    return { cache, agrees: true, reason: 'memory says the same' };
  }
  const reasons: string[] = [];
  if (keeper !== 'sightline') reasons.push(useless[keeper]);
  else if (chosen === undefined) reasons.push('it does not look at memory, which has no room');
  else if (chosen.name !== rule?.name) {
    reasons.push(
      chosen === full
        ? 'memory has room for FP16, and fewer bits only cost where there is no need for them'
        : 'it does not look at memory, which has no room for that',
    );
  }
  if (isLong) reasons.push('what is pruned is lost for good: that is for whoever asks for it');
  return { cache, agrees: false, reason: reasons.join('; ') };
}
