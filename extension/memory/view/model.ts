/** What the page draws, computed from what the host tells. */
import * as l10n from '@vscode/l10n';
import type { CachePolicyName, CacheStats, MemoryForecast } from '../../../sidecar/protocol.ts';
import { describeTier } from '../../describe.ts';

/** A part of the stacked bar. */
export interface Segment {
  /** `CacheTier.name`, `others` (other sequences) or `free`. */
  readonly name: string;
  readonly label: string;
  /** Absent where the part is no tokens. */
  readonly tokens?: number;
  readonly bytes: number;
}

/**
 * The bar: the tiers of the sequence that was used last, what other sequences hold besides, and what is free: of the budget
 * where there is one, and else until the context is full.
 */
export function segmentsOf(stats: CacheStats, forecast: MemoryForecast | null): Segment[] {
  const { tiers, bytes, budgetBytes, policy } = stats;
  const others = Math.max(0, allBytes(stats) - bytes);
  const full = budgetBytes > 0 ? budgetBytes : (seriesOf(forecast, policy)?.at(-1) ?? 0);
  const free = full - bytes - others;
  return [
    ...tiers.map((tier) => ({ ...tier, label: describeTier(tier.name) })),
    ...(others > 0 ? [{ name: 'others', label: l10n.t('other sequences'), bytes: others }] : []),
    ...(free > 0
      ? [
          {
            name: 'free',
            label:
              budgetBytes > 0 ? l10n.t('free of the budget') : l10n.t('until the context is full'),
            bytes: free,
          },
        ]
      : []),
  ];
}

/** What all sequences hold, with what they share once. */
function allBytes({ sequences, bytes }: CacheStats): number {
  const own = sequences.reduce((sum, sequence) => sum + sequence.bytes - sequence.sharedBytes, 0);
  const shared = Math.max(0, ...sequences.map(({ sharedBytes }) => sharedBytes));
  return Math.max(bytes, own + shared);
}

const seriesOf = (
  forecast: MemoryForecast | null,
  name: CachePolicyName,
): readonly number[] | undefined => forecast?.policies.find(({ policy }) => policy === name)?.bytes;

/** The policies that hold older tokens in the tier that is set. */
const tierPolicies = new Set(['selective', 'h2o', 'attention', 'importance', 'lowrank']);
export const usesTier = (policy: string): boolean => tierPolicies.has(policy);

/** As many of `length` indices as fit into a table, the first and the last among them. */
export function tableRows(length: number, most = 9): number[] {
  const count = Math.min(length, most);
  return Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.round((i * (length - 1)) / (count - 1)),
  );
}

/** A whole number of MiB that the budget may be; undefined for any other text. */
export function parseBudget(text: string): number | undefined {
  const value = Number(text);
  const isGood = text.trim() !== '' && Number.isInteger(value) && value >= 0 && value <= 1_048_576;
  return isGood ? value : undefined;
}
