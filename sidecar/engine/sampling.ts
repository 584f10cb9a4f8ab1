import type { Sampling } from './addon.ts';

/** The same prompt gives the same text. */
export const greedy: Sampling = { temperature: 0, topK: 1, topP: 1, minP: 0, seed: 0 };
