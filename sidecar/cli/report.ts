import type { Completion } from '../completion/complete.ts';
import type { ModelInfo } from '../engine/addon.ts';
import type { CacheCheck, CacheStats } from '../protocol.ts';
import { rate } from '../stats.ts';
import type { Target } from './arguments.ts';

/** What one headless completion did; `--json` prints it as it is. Seconds, tokens and bytes. */
export interface Report {
  readonly file: string;
  readonly line: number;
  readonly column: number | undefined;
  /** All that the model generated. */
  readonly generated: string;
  /** What of it an editor is offered. */
  readonly completion: string;
  readonly finish: string;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly parameters: number;
    readonly contextTokens: number;
    readonly threads: number;
    readonly kernels: string;
  };
  readonly tokens: {
    readonly file: number;
    readonly inSight: number;
    readonly prefix: number;
    readonly suffix: number;
    readonly omittedBefore: number;
    readonly omittedAfter: number;
    readonly reused: number;
    readonly prefilled: number;
    readonly generated: number;
  };
  readonly seconds: { readonly load: number; readonly prefill: number; readonly decode: number };
  readonly tokensPerSecond: {
    readonly prefill: number | undefined;
    readonly decode: number | undefined;
  };
  readonly memory: {
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
  };
}

export function reportOf(
  target: Target,
  info: ModelInfo,
  { text, inSight, result }: Completion,
  stats: CacheStats,
): Report {
  return {
    ...target,
    generated: result.text,
    completion: text,
    finish: result.finish,
    model: {
      name: info.name,
      architecture: info.architecture,
      parameters: info.parameters,
      contextTokens: info.contextTokens,
      threads: info.threads,
      kernels: info.kernels,
    },
    tokens: {
      file: inSight.documentTokens,
      inSight: inSight.prefixTokens + inSight.suffixTokens,
      prefix: inSight.prefixTokens,
      suffix: inSight.suffixTokens,
      omittedBefore: inSight.omittedBefore,
      omittedAfter: inSight.omittedAfter,
      reused: result.reusedTokens,
      prefilled: result.prefilledTokens,
      generated: result.tokens.length,
    },
    seconds: {
      load: info.loadSeconds,
      prefill: result.prefillSeconds,
      decode: result.decodeSeconds,
    },
    tokensPerSecond: {
      prefill: rate(result.prefilledTokens, result.prefillSeconds),
      decode: rate(result.tokens.length, result.decodeSeconds),
    },
    memory: {
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
    },
  };
}

const count = (tokens: number): string => tokens.toLocaleString('en').replaceAll(',', ' ');

const bytes = (value: number): string =>
  value < 1024 * 1024
    ? `${(value / 1024).toFixed(1)} KiB`
    : `${(value / 1024 / 1024).toFixed(2)} MiB`;

const speed = (tokensPerSecond: number | undefined): string =>
  tokensPerSecond === undefined
    ? ''
    : ` (${tokensPerSecond.toFixed(tokensPerSecond < 100 ? 1 : 0)} tokens/s)`;

/** The report for a terminal. */
export function formatReport(report: Report): string {
  const { model, tokens, seconds, tokensPerSecond, memory } = report;
  const row = (name: string, held: string, size: string): string =>
    `  ${name.padEnd(14)}${held.padStart(10)}${size.padStart(14)}`;
  return [
    ...offer(report),
    `model    ${model.name} (${model.architecture}, ${(model.parameters / 1e6).toFixed(1)} M parameters), ${count(model.contextTokens)} tokens of context, ${model.threads} ${model.threads === 1 ? 'thread' : 'threads'}, ${model.kernels} kernels`,
    `tokens   file ${count(tokens.file)}, in sight ${count(tokens.inSight)} (${count(tokens.prefix)} before the cursor, ${count(tokens.suffix)} after it)`,
    `         left out ${count(tokens.omittedBefore + tokens.omittedAfter)} (${count(tokens.omittedBefore)} at the start, ${count(tokens.omittedAfter)} at the end)`,
    `         reused ${count(tokens.reused)}, prefilled ${count(tokens.prefilled)}, generated ${count(tokens.generated)}`,
    `time     load ${seconds.load.toFixed(2)} s, prefill ${seconds.prefill.toFixed(2)} s${speed(tokensPerSecond.prefill)}, decode ${seconds.decode.toFixed(2)} s${speed(tokensPerSecond.decode)}`,
    `memory   KV cache, policy ${memory.policy}`,
    row('tier', 'tokens', 'bytes'),
    ...memory.tiers.map((tier) => row(tier.name, count(tier.tokens), bytes(tier.bytes))),
    row('total', count(memory.tokens), bytes(memory.bytes)),
    row('as FP16', count(memory.tokens), bytes(memory.fp16Bytes)),
    row('FP16 / total', '', `${memory.ratio.toFixed(2)}x`),
    ...losses(memory),
  ].join('\n');
}

/** What the cache has lost, and what its self-check found. */
function losses({
  droppedTokens,
  degradedTokens,
  biasedLayers,
  check,
}: Report['memory']): string[] {
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

/** Two digits that count. */
const short = (value: number): string => String(Number(value.toPrecision(2)));

/** Says so where an editor is not offered all that was generated. */
function offer({ generated, completion }: Report): string[] {
  if (completion === generated) return [];
  if (completion === '') return ['offered  nothing of this'];
  const lines = completion.split('\n');
  const end = lines.at(-1)?.trim() ?? '';
  return [
    `offered  ${count(lines.length)} ${lines.length === 1 ? 'line' : 'lines'} of this, up to: ${end}`,
  ];
}
