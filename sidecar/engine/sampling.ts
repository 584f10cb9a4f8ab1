import type { Sampling } from './addon.ts';

/** The same prompt gives the same text. */
export const greedy: Sampling = { temperature: 0, topK: 1, topP: 1, minP: 0, seed: 0 };

/** Of the likely tokens one by chance: the more of them, the higher the temperature. */
export const sampled = (temperature: number, seed: number): Sampling => ({
  temperature,
  topK: 40,
  topP: 0.95,
  minP: 0.05,
  seed,
});
