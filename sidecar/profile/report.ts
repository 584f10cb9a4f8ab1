import type { ModelInfo, ProfiledStep } from '../engine/addon.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { growthOf, type GrowthPoint } from './growth.ts';
import type { Pass } from './run.ts';
import { summarise, type PhaseSummary } from './summary.ts';

/** What a profile says, for programs. Seconds, tokens, bytes and floating-point operations. */
export interface ProfileReport {
  readonly version: 1;
  readonly model: {
    readonly name: string;
    readonly architecture: string;
    readonly parameters: number;
    readonly layers: number;
    /** Those whose cache is Sightline's. */
    readonly ownedLayers: number;
    readonly threads: number;
    readonly kernels: string;
    readonly gpu: string | undefined;
    readonly gpuLayers: number;
  };
  readonly cache: EngineOptions['cache'];
  readonly promptTokens: number;
  readonly generatedTokens: number;
  /** False: it was interrupted, and this is what there was by then. */
  readonly isWhole: boolean;
  /** Steps at the end that there was no room for. */
  readonly lostSteps: number;
  readonly phases: readonly PhaseSummary[];
  readonly growth: readonly GrowthPoint[];
}

/** `unprofiled`: the same steps, or the first of them, run without a profile; none where that was not measured. */
export function reportOf(
  info: ModelInfo,
  cache: EngineOptions['cache'],
  promptTokens: number,
  pass: Pass,
  unprofiled: readonly ProfiledStep[] = [],
): ProfileReport {
  const { profile, generatedTokens, isWhole } = pass;
  const { name, architecture, parameters, layers, ownedLayers, threads, kernels } = info;
  return {
    version: 1,
    model: {
      ...{ name, architecture, parameters, layers, ownedLayers, threads, kernels },
      gpu: info.gpu?.name,
      gpuLayers: info.gpuLayers,
    },
    cache,
    promptTokens,
    generatedTokens,
    isWhole,
    lostSteps: profile.lostSteps,
    phases: summarise(profile, unprofiled, promptTokens),
    growth: growthOf(profile.steps, promptTokens),
  };
}
