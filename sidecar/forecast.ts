import type { NativeEngine } from './engine/addon.ts';
import { qualityOf, qualitySource } from './fit/quality.ts';
import type { ModelHeader } from './models/header.ts';
import { cacheBytes } from './models/memory.ts';
import {
  cacheProfileNames,
  cacheProfiles,
  type MemoryForecast,
  type SightlineSettings,
} from './protocol.ts';

/** Points of the figure. */
const points = 64;

/** What caches of a model take by policy, up to the length of its context; null where its cache is llama.cpp's own. */
export function policyForecasts(
  native: NativeEngine,
): Pick<MemoryForecast, 'tokens' | 'policies'> | null {
  const { contextTokens } = native.info;
  const steps = Math.min(points, contextTokens);
  const tokens = Array.from({ length: steps + 1 }, (_, i) =>
    Math.round((contextTokens * i) / steps),
  );
  const policies = native.forecast(Int32Array.from(tokens));
  return policies.length === 0 ? null : { tokens, policies };
}

/** What the profiles would make of a cache that is set like `base`, when it holds so many tokens. */
export const profileForecasts = (
  model: Pick<ModelHeader, 'layers' | 'slides'>,
  contextTokens: number,
  base: SightlineSettings['cache'],
): MemoryForecast['profiles'] =>
  cacheProfileNames.map((name) => {
    const cache = { ...base, ...cacheProfiles[name] };
    const bytes = cacheBytes(model, contextTokens, cache);
    const quality = qualityOf(cache, contextTokens);
    if (quality === undefined) return { name, bytes };
    const { contextTokens: measuredIn, sameTop } = quality;
    const { model: file } = qualitySource;
    return {
      ...{ name, bytes },
      measured: { model: file, contextTokens: measuredIn, sameTop: sameTop / 100 },
    };
  });
