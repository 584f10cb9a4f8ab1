import type { NativeEngine } from './engine/addon.ts';
import type { MemoryForecast } from './protocol.ts';

/** Points of the figure. */
const points = 64;

/** What caches of a model take, up to the length of its context; null where its cache is llama.cpp's own. */
export function memoryForecast(native: NativeEngine): MemoryForecast | null {
  const { contextTokens } = native.info;
  const steps = Math.min(points, contextTokens);
  const tokens = Array.from({ length: steps + 1 }, (_, i) =>
    Math.round((contextTokens * i) / steps),
  );
  const policies = native.forecast(Int32Array.from(tokens));
  return policies.length === 0 ? null : { tokens, policies };
}
