import type { CacheStats, MemoryForecast } from '../../sidecar/protocol.ts';

/**
 * The figure as comma-separated values: a row for each length, in bytes a column for each policy, and what the cache takes
 * now in a row and a column of its own.
 */
export function memoryCsv(
  { tokens, policies }: MemoryForecast,
  stats: CacheStats | undefined,
): string {
  const header = [
    'tokens',
    ...policies.map(({ policy }) => `${policy} (bytes)`),
    'measured (bytes)',
  ];
  const rows = tokens.map((length, i) => [
    length,
    ...policies.map(({ bytes }) => bytes[i]),
    undefined,
  ]);
  if (stats !== undefined) {
    const measured = [stats.tokens, ...policies.map(() => undefined), stats.bytes];
    const after = tokens.findIndex((length) => length > stats.tokens);
    rows.splice(after < 0 ? rows.length : after, 0, measured);
  }
  return [header, ...rows].map((row) => `${row.map((value) => value ?? '').join(',')}\n`).join('');
}
