/** What a serving engine publishes of itself; what it does not say is absent. */
export interface ServerUsage {
  /** Share of the KV cache that is in use, 0 to 1. */
  readonly cacheUsage?: number;
  readonly cacheTokens?: number;
  readonly running?: number;
  readonly waiting?: number;
}

/** Names of the same figure in vLLM (its older and newer versions), llama-server and SGLang. */
const names: Readonly<Record<keyof ServerUsage, readonly string[]>> = {
  cacheUsage: [
    'vllm:kv_cache_usage_perc',
    'vllm:gpu_cache_usage_perc',
    'llamacpp:kv_cache_usage_ratio',
    'sglang:token_usage',
  ],
  cacheTokens: ['llamacpp:kv_cache_tokens', 'sglang:num_used_tokens'],
  running: ['vllm:num_requests_running', 'llamacpp:requests_processing', 'sglang:num_running_reqs'],
  waiting: ['vllm:num_requests_waiting', 'llamacpp:requests_deferred', 'sglang:num_queue_reqs'],
};

/** A line of Prometheus' text format: name, labels, value. */
const sample = /^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)(?:\s+-?\d+)?$/;

/** Of a server with several engines: the fullest cache, and all of their requests and tokens. */
export function readMetrics(text: string): ServerUsage {
  const found = new Map<string, number[]>();
  for (const line of text.split('\n')) {
    const [, name, value] = sample.exec(line.trim()) ?? [];
    const number = Number(value);
    if (name === undefined || !Number.isFinite(number) || number < 0) continue;
    found.set(name, [...(found.get(name) ?? []), number]);
  }
  const valuesOf = (figure: keyof ServerUsage): readonly number[] =>
    names[figure].map((name) => found.get(name)).find((values) => values !== undefined) ?? [];
  const sum = (figure: keyof ServerUsage): number | undefined => {
    const values = valuesOf(figure);
    return values.length === 0 ? undefined : values.reduce((total, value) => total + value, 0);
  };
  const usage = valuesOf('cacheUsage');
  const all = {
    cacheUsage: usage.length === 0 ? undefined : Math.min(1, Math.max(...usage)),
    cacheTokens: sum('cacheTokens'),
    running: sum('running'),
    waiting: sum('waiting'),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
