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
 * The strategies of these names: `full`, or a policy, a tier where it takes one (else int8), and a window where it is to have
 * another than the rest: `compressed`, `selective:int4`, `selective:int8:128`. The reference is always the first. The error is
 * a line for the user.
 */
export function strategiesOf(names: readonly string[], edges: Edges): Result<Strategy[], string> {
  const found = new Map([[reference.name, reference]]);
  for (const name of names.map((one) => one.trim()).filter((one) => one !== reference.name)) {
    const strategy = strategyOf(name, edges);
    if (strategy === undefined) {
      const known = [reference.name, ...untiered, ...tiered.map((one) => `${one}[:TIER]`)];
      return fail(
        `there is no cache called ${JSON.stringify(name)}; there are ${known.join(', ')}, with TIER one of ${tiers.join(', ')}; :WINDOW behind it is a window of so many tokens`,
      );
    }
    found.set(strategy.name, strategy);
  }
  return succeed([...found.values()]);
}

function strategyOf(name: string, edges: Edges): Strategy | undefined {
  const [, first, second, digits] =
    /^([a-z0-9]+)(?::([a-z][a-z0-9]*))?(?::(\d{1,7}))?$/.exec(name) ?? [];
  const window = digits === undefined ? {} : { window: Number(digits) };
  const named = (...parts: readonly string[]): string =>
    [...parts, ...(digits === undefined ? [] : [String(Number(digits))])].join(':');
  const policy = tiered.find((one) => one === first);
  const tier = tiers.find((one) => one === (second ?? 'int8'));
  if (policy !== undefined && tier !== undefined)
    return { name: named(policy, tier), cache: { ...edges, ...window, policy, tier } };
  const plain = second === undefined ? untiered.find((one) => one === first) : undefined;
  if (plain === undefined) return undefined;
  return { name: named(plain), cache: { ...edges, ...window, policy: plain } };
}
