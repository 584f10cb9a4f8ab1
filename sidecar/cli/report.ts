import type { Completion } from '../completion/complete.ts';
import type { ModelInfo } from '../engine/addon.ts';
import type { CacheStats } from '../protocol.ts';
import { rate } from '../stats.ts';
import { memoryLines, memoryOf, type MemoryReport } from './memory.ts';
import { count, speed } from './output.ts';
import type { Target } from './target.ts';

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
  readonly memory: MemoryReport;
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
    memory: memoryOf(stats),
  };
}

/** The report for a terminal. */
export function formatReport(report: Report): string {
  const { model, tokens, seconds, tokensPerSecond, memory } = report;
  return [
    ...offer(report),
    `model    ${model.name} (${model.architecture}, ${(model.parameters / 1e6).toFixed(1)} M parameters), ${count(model.contextTokens)} tokens of context, ${model.threads} ${model.threads === 1 ? 'thread' : 'threads'}, ${model.kernels} kernels`,
    `tokens   file ${count(tokens.file)}, in sight ${count(tokens.inSight)} (${count(tokens.prefix)} before the cursor, ${count(tokens.suffix)} after it)`,
    `         left out ${count(tokens.omittedBefore + tokens.omittedAfter)} (${count(tokens.omittedBefore)} at the start, ${count(tokens.omittedAfter)} at the end)`,
    `         reused ${count(tokens.reused)}, prefilled ${count(tokens.prefilled)}, generated ${count(tokens.generated)}`,
    `time     load ${seconds.load.toFixed(2)} s, prefill ${seconds.prefill.toFixed(2)} s${speed(tokensPerSecond.prefill)}, decode ${seconds.decode.toFixed(2)} s${speed(tokensPerSecond.decode)}`,
    ...memoryLines(memory),
  ].join('\n');
}

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
