import type { CachePolicy } from './engine/addon.ts';
import type { EngineOptions } from './engine/engine.ts';
import { gpuSearch } from './gpu/search.ts';
import type { SightlineSettings } from './protocol.ts';
import { modelPathOf } from './settings.ts';

/** The parts of the settings that a loaded model depends on. */
export function engineOptionsOf(settings: SightlineSettings, bundledModel: string): EngineOptions {
  const { cache } = settings;
  const gpu = gpuSearch(settings.gpu);
  return {
    modelPath: modelPathOf(settings, bundledModel),
    contextTokens: settings.model.contextTokens,
    threads: settings.threads,
    cacheBudgetBytes: cache.budgetMiB * 1024 * 1024,
    cache: cachePolicyOf(cache),
    // FP16 throughout has nothing to be checked.
    selfCheck: cache.selfCheck && cache.policy !== 'full',
    ...(gpu === undefined ? {} : { gpu }),
  };
}

/** Only what the policy uses, so that a change of anything else does not load the model anew. */
export function cachePolicyOf(cache: SightlineSettings['cache']): CachePolicy {
  const { policy, tier, sink, window, span, keep, weights } = cache;
  const edges = { sink, ...(window === 0 ? {} : { window }) };
  switch (policy) {
    case 'full':
      return { policy };
    case 'auto':
    case 'compressed':
      return { policy, ...edges };
    case 'hierarchical':
      return { policy, ...edges, span };
    case 'selective':
    case 'attention':
    case 'lowrank':
      return { policy, ...edges, tier };
    case 'h2o':
      return { policy, ...edges, tier, keep };
    case 'importance':
      return { policy, ...edges, tier, keep, weights };
  }
}
