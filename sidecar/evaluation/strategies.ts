import type { CachePolicy } from '../engine/addon.ts';
import { fail, succeed, type Result } from '../result.ts';

/** A way to keep the cache, and what it is called in reports. */
export interface Strategy {
  readonly name: string;
  readonly cache: CachePolicy;
}

/** What all others are compared with. */
export const reference: Strategy = { name: 'full', cache: { policy: 'full' } };

const tiers = ['int8', 'fp8', 'k8v4', 'int4', 'k4v2'] as const;
const tiered = ['selective', 'h2o', 'importance', 'attention', 'lowrank'] as const;
const untiered = ['compressed', 'hierarchical', 'auto'] as const;

export const usualStrategies: readonly string[] = [
  'full',
  'compressed',
  'selective:int8',
  'selective:k8v4',
  'selective:int4',
  'hierarchical',
  'h2o:int8',
  'importance:int8',
  'attention:int8',
  'lowrank:int8',
];

/** Of every strategy. */
export type Edges = Pick<CachePolicy, 'sink' | 'window' | 'keep'>;

/**
 * The strategies of these names: `full`, `compressed`, `hierarchical`, `auto`, or a policy and a tier such as `selective:int4`;
 * int8 where the tier is not named. The reference is always the first. The error is a line for the user.
 */
export function strategiesOf(names: readonly string[], edges: Edges): Result<Strategy[], string> {
  const found = new Map([[reference.name, reference]]);
  for (const name of names) {
    const [first = '', second, ...more] = name.trim().split(':');
    const policy = tiered.find((one) => one === first);
    const plain = untiered.find((one) => one === first);
    const tier = tiers.find((one) => one === (second ?? 'int8'));
    if (more.length === 0 && policy !== undefined && tier !== undefined) {
      found.set(`${policy}:${tier}`, {
        name: `${policy}:${tier}`,
        cache: { ...edges, policy, tier },
      });
    } else if (second === undefined && plain !== undefined) {
      found.set(plain, { name: plain, cache: { ...edges, policy: plain } });
    } else if (name.trim() !== reference.name) {
      const known = [reference.name, ...untiered, ...tiered.map((one) => `${one}[:TIER]`)];
      return fail(
        `there is no cache called ${JSON.stringify(name)}; there are ${known.join(', ')}, with TIER one of ${tiers.join(', ')}`,
      );
    }
  }
  return succeed([...found.values()]);
}
