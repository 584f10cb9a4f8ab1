import type { CompleteEvent, NativeEngine, Profile } from '../engine/addon.ts';
import { runJob } from '../engine/job.ts';
import { greedy } from '../engine/sampling.ts';

/** What was recorded of a prompt and what the model wrote behind it. */
export interface Pass {
  readonly profile: Profile;
  readonly generatedTokens: number;
  /** False: it was given up, and the profile has the steps before that. */
  readonly isWhole: boolean;
}

/**
 * Evaluates a prompt and writes on, always the likeliest token, each in a step of its own. `native` was loaded with
 * `profile`. Throws what the addon rejects with, but not where `signal` ends it.
 */
export async function runPass(
  native: NativeEngine,
  tokens: Int32Array,
  maxTokens: number,
  signal: AbortSignal,
  onEvent: (event: CompleteEvent) => void,
): Promise<Pass> {
  const request = {
    tokens,
    maxTokens,
    sampling: greedy,
    speculate: false,
    stopTokens: new Int32Array(),
  };
  try {
    const result = await runJob(native.complete(request, onEvent), signal);
    const profile = await native.takeProfile();
    return { profile, generatedTokens: result.tokens.length, isWhole: true };
  } catch (error) {
    if (!signal.aborted) throw error;
    const profile = await native.takeProfile();
    const last = profile.steps.at(-1);
    const held = last === undefined ? 0 : last.first + last.tokens;
    return { profile, generatedTokens: Math.max(0, held - tokens.length), isWhole: false };
  }
}
