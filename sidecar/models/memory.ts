import type { SightlineSettings } from '../protocol.ts';
import type { LayerShape, ModelHeader } from './header.ts';

/**
 * What a cache takes, before there is a model to ask: the engine's own account as a closed formula, and the only place in
 * TypeScript that knows it. The layouts are those of native/attention/format, the schedule is that of native/cache/schedule.h;
 * an integration test holds the two together.
 */

type CacheSettings = SightlineSettings['cache'];
type Format = 'fp16' | 'fp8' | 'int8' | 'int4' | 'int2' | 'lowrank';

/** What a block is held in; null: its tokens are dropped. */
type Level = { readonly k: Format; readonly v: Format } | null;

const blockTokens = 128;
const alignment = 64;

/** Blocks hold tokens by so many. */
const granule = 16;

const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

const granules = (tokens: number): number => Math.ceil(tokens / granule) * granule;

/** Codes with a mean for the block and a grid for each token and group of channels. */
const grouped = (bits: number, channels: number, size: number, tokens: number): number =>
  aligned(2 * size + (4 * size * tokens) / channels) + (size * tokens * bits) / 8;

/** Bytes of a block's keys and values of one KV head, `size` elements a token. */
const layouts: Readonly<
  Record<Format, Readonly<Record<'k' | 'v', (size: number, tokens: number) => number>>>
> = {
  fp16: { k: (size, tokens) => 2 * size * tokens, v: (size, tokens) => 2 * size * tokens },
  fp8: { k: (size, tokens) => size * tokens + 2, v: (size, tokens) => size * tokens + 2 },
  int8: {
    k: (size, tokens) => aligned(4 * size) + size * tokens,
    v: (size, tokens) => aligned(2 * tokens) + size * tokens,
  },
  int4: {
    k: (size, tokens) => grouped(4, size % 128 === 0 ? 128 : size, size, tokens),
    v: (size, tokens) => grouped(4, size % 128 === 0 ? 128 : size, size, tokens),
  },
  int2: {
    k: () => Number.NaN,
    v: (size, tokens) => grouped(2, size % 64 === 0 ? 64 : size, size, tokens),
  },
  // At the highest rank that there can be.
  lowrank: { k: (size, tokens) => 2 * size * (tokens + size), v: () => Number.NaN },
};

const tiers: Readonly<Record<CacheSettings['tier'], NonNullable<Level>>> = {
  fp8: { k: 'fp8', v: 'fp8' },
  int8: { k: 'int8', v: 'int8' },
  k8v4: { k: 'int8', v: 'int4' },
  int4: { k: 'int4', v: 'int4' },
  k4v2: { k: 'int4', v: 'int2' },
};

/** The levels behind the window, and from how many tokens behind the end of a block on it is held in each. */
function levelsOf(cache: CacheSettings): { readonly level: Level; readonly after: number }[] {
  const { policy, tier, span } = cache;
  const behind = (level: Level): { level: Level; after: number } => ({
    level,
    after: cache.window > 0 ? cache.window : isFine(level) ? 256 : 896,
  });
  switch (policy) {
    case 'full':
      return [];
    case 'selective':
    case 'h2o':
    case 'attention':
    case 'importance':
      return [behind(tiers[tier])];
    case 'compressed':
      return [behind(null)];
    case 'hierarchical':
      return [
        { level: tiers.int8, after: behind(tiers.int4).after },
        { level: tiers.int4, after: span },
      ];
    case 'lowrank':
      return [
        {
          level: { k: 'lowrank', v: tiers[tier].v },
          after: behind({ k: 'lowrank', v: 'int8' }).after,
        },
      ];
    case 'auto':
      // The least it can do with; as much more as the budget has room for is FP16.
      return [behind(tiers.int4)];
  }
}

const fine: ReadonlySet<Format> = new Set(['fp16', 'fp8', 'int8']);

const isFine = (level: Level): boolean => level !== null && fine.has(level.k) && fine.has(level.v);

/** Whether our cache holds a layer; the others are llama.cpp's, in FP16. */
export const isOurs = ({ keySize, valueSize }: LayerShape): boolean =>
  keySize === valueSize && keySize % 16 === 0;

/**
 * Bytes of a cache that holds so many tokens, as the settings keep them: what the engine accounts for, as an upper bound for
 * `attention` and `lowrank`, which decide by the data, and where layers have windows; for `auto` the least it can do with.
 */
export function cacheBytes(
  { layers, slides }: Pick<ModelHeader, 'layers' | 'slides'>,
  tokens: number,
  cache: CacheSettings,
): number {
  // Layers are alike in most models: each kind is counted once.
  const kinds = new Map<string, { readonly layer: LayerShape; count: number }>();
  for (const layer of layers) {
    const kind = `${layer.kvHeads} ${layer.keySize} ${layer.valueSize}`;
    const known = kinds.get(kind);
    if (known === undefined) kinds.set(kind, { layer, count: 1 });
    else known.count++;
  }
  let bytes = 0;
  for (const { layer, count } of kinds.values()) {
    const { kvHeads, keySize, valueSize } = layer;
    const one =
      isOurs(layer) && !slides
        ? headBytes(keySize, tokens, cache)
        : 2 * tokens * (keySize + valueSize);
    bytes += count * kvHeads * one;
  }
  return bytes;
}

const decidesFromData: ReadonlySet<string> = new Set(['h2o', 'attention', 'importance', 'lowrank']);

/** Of a block behind the window; the engine counts in single precision. */
const heldTokens = ({ policy, keep }: CacheSettings): number =>
  policy === 'h2o' || policy === 'importance'
    ? granules(Math.ceil(Math.fround(keep) * blockTokens))
    : blockTokens;

/** Bytes of one KV head. */
function headBytes(size: number, tokens: number, cache: CacheSettings): number {
  const part = (level: NonNullable<Level>, held: number): number =>
    aligned(layouts[level.k].k(size, held)) + aligned(layouts[level.v].v(size, held));
  const fp16 = { k: 'fp16', v: 'fp16' } as const;
  // FP16 throughout needs no sink.
  const sink = cache.policy === 'full' ? 0 : cache.sink;
  let bytes = 0;
  for (let at = 0; at < Math.min(sink, tokens); at += blockTokens) {
    bytes += part(fp16, granules(Math.min(blockTokens, sink - at)));
  }
  const blocks = Math.ceil(Math.max(0, tokens - sink) / blockTokens);
  // Blocks that are behind what comes `after` them, the oldest first; those at a level are not at the one before it.
  const levels = levelsOf(cache);
  // What is decided from the data is decided one token later.
  const decided = decidesFromData.has(cache.policy) ? tokens - 1 : tokens;
  const passed = levels.map(({ after }) =>
    Math.min(blocks, Math.max(0, Math.floor((decided - sink - after) / blockTokens))),
  );
  bytes += (blocks - (passed[0] ?? 0)) * part(fp16, blockTokens);
  const held = heldTokens(cache);
  // Which tokens they are is told by a number each.
  const positions = held < blockTokens ? 4 * held : 0;
  levels.forEach(({ level }, i) => {
    const here = (passed[i] ?? 0) - (passed[i + 1] ?? 0);
    if (level !== null) bytes += here * (part(level, held) + positions);
  });
  return bytes;
}
