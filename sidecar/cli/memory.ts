import type { CacheCheck, CacheStats } from '../protocol.ts';
import { bytes, count, short } from './output.ts';

/** What the cache holds, and what it lost. */
export interface MemoryReport {
  readonly policy: CacheStats['policy'];
  readonly tiers: CacheStats['tiers'];
  readonly tokens: number;
  readonly bytes: number;
  readonly reservedBytes: number;
  readonly fp16Bytes: number;
  /** FP16 bytes over bytes. */
  readonly ratio: number;
  readonly droppedTokens: number;
  readonly degradedTokens: number;
  readonly biasedLayers: readonly number[];
  readonly check: CacheCheck | undefined;
}

export function memoryOf(stats: CacheStats): MemoryReport {
  return {
    policy: stats.policy,
    tiers: stats.tiers,
    tokens: stats.tokens,
    bytes: stats.bytes,
    reservedBytes: stats.reservedBytes,
    fp16Bytes: stats.fp16Bytes,
    ratio: stats.bytes > 0 ? stats.fp16Bytes / stats.bytes : 1,
    droppedTokens: stats.droppedTokens,
    degradedTokens: stats.degradedTokens,
    biasedLayers: stats.biasedLayers,
    check: stats.check,
  };
}

/** A table by tier, for a terminal. */
export function memoryLines(memory: MemoryReport): string[] {
  const row = (name: string, held: string, size: string): string =>
    `  ${name.padEnd(14)}${held.padStart(10)}${size.padStart(14)}`;
  return [
    `memory   KV cache, policy ${memory.policy}`,
    row('tier', 'tokens', 'bytes'),
    ...memory.tiers.map((tier) => row(tier.name, count(tier.tokens), bytes(tier.bytes))),
    row('total', count(memory.tokens), bytes(memory.bytes)),
    row('as FP16', count(memory.tokens), bytes(memory.fp16Bytes)),
    row('FP16 / total', '', `${memory.ratio.toFixed(2)}x`),
    ...losses(memory),
  ];
}

/** What the cache has lost, and what its self-check found. */
function losses({ droppedTokens, degradedTokens, biasedLayers, check }: MemoryReport): string[] {
  const lines: string[] = [];
  if (droppedTokens > 0) {
    lines.push(`dropped  ${count(droppedTokens)} tokens that later ones no longer see`);
  }
  if (degradedTokens > 0) {
    lines.push(`degraded ${count(degradedTokens)} tokens of the window, from a quantised block`);
  }
  if (check !== undefined) {
    const { asked, tier, divergence, bound, sameTop } = check;
    const where = divergence <= bound ? 'within' : 'above';
    const same = `${(sameTop * 100).toFixed(1)} %`;
    lines.push(
      `check    ${tier} against FP16: divergence ${short(divergence)} nats, ${where} ${short(bound)}; same likeliest token at ${same}`,
    );
    if (tier !== asked) lines.push(`         ${asked} missed the bound, ${tier} is used`);
  }
  if (biasedLayers.length > 0) {
    lines.push(`bias     keys stay int8 or FP16 in layers ${biasedLayers.join(', ')}`);
  }
  return lines;
}
