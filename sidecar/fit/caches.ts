import type { ModelHeader } from '../models/header.ts';
import { isOurs } from '../models/memory.ts';
import type { SightlineSettings } from '../protocol.ts';

export type CacheSettings = SightlineSettings['cache'];

/** Those that keep every token, the least lossy first: what is recommended is the first one that fits. */
export const ladderOf = (base: CacheSettings): CacheSettings[] => [
  { ...base, policy: 'full' },
  ...(['int8', 'k8v4', 'int4'] as const).map((tier) => ({
    ...base,
    policy: 'selective' as const,
    tier,
  })),
];

/** Every policy that is worth a comparison; those that drop tokens last. */
export const cachesOf = (base: CacheSettings): CacheSettings[] => [
  ...ladderOf(base),
  ...(['hierarchical', 'auto', 'h2o', 'importance', 'compressed'] as const).map((policy) => ({
    ...base,
    policy,
    tier: 'int8' as const,
  })),
];

/** As the table calls it. */
export function cacheName({ policy, tier, keep }: CacheSettings): string {
  switch (policy) {
    case 'full':
    case 'auto':
    case 'hierarchical':
    case 'compressed':
      return policy;
    case 'selective':
    case 'attention':
    case 'lowrank':
      return `${policy} ${tier}`;
    case 'h2o':
    case 'importance':
      return `${policy} ${tier}, ${Math.round(keep * 100)} %`;
  }
}

/** Whether tokens are lost for good. */
export const drops = ({ policy, keep }: CacheSettings): boolean =>
  policy === 'compressed' ||
  policy === 'attention' ||
  ((policy === 'h2o' || policy === 'importance') && keep < 1);

/**
 * Who keeps a model's cache. windows: llama.cpp that of some layers, a short one, and the header does not say of which. uneven:
 * llama.cpp all of it, in FP16: keys and values are of sizes that ours does not take. none: there is nothing to keep, as the
 * header tells.
 */
export type Keeper = 'sightline' | 'windows' | 'uneven' | 'none';

export function keeperOf({ layers, slides }: Pick<ModelHeader, 'layers' | 'slides'>): Keeper {
  const caching = layers.filter(({ kvHeads }) => kvHeads > 0);
  if (caching.length === 0) return 'none';
  if (slides) return 'windows';
  return caching.some(isOurs) ? 'sightline' : 'uneven';
}

/** Whether its bytes are those that the engine will account for, no less than those, or the least that it can do with. */
export const boundOf = ({ policy }: CacheSettings, keeper: Keeper): 'exact' | 'most' | 'least' => {
  if (keeper === 'windows') return 'most';
  if (keeper !== 'sightline') return 'exact';
  if (policy === 'auto') return 'least';
  return policy === 'attention' || policy === 'lowrank' ? 'most' : 'exact';
};
