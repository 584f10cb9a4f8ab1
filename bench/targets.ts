/** What is asked of the figures, by case. */

export interface Target {
  /** Has to be reached: by the ratio where the case has a baseline, else by the value itself. */
  readonly must: number;
  /** The one to aim for. */
  readonly goal?: number;
}

const targets: readonly (readonly [RegExp, Target])[] = [
  // With nothing in the cache there is nothing to win.
  [/^decode\/[\w-]+\/depth=0$/, { must: 0.97 }],
  [/^decode\/int8\/depth=4096$/, { must: 1.3, goal: 1.5 }],
  [/^decode\/[\w-]+\/depth=4096$/, { must: 1 }],
  [/^decode\/int8\/depth=16384$/, { must: 1.8, goal: 2.3 }],
  [/^decode\/int4\/depth=16384$/, { must: 1.8, goal: 2.5 }],
  [/^decode\/int8\/depth=16384\/baseline=llama\.cpp q8_0 fa=on$/, { must: 4, goal: 6 }],
  [/^decode\/int8\/depth=16384\/baseline=full$/, { must: 1.2, goal: 1.8 }],
  [/^decode\/int8\/depth=16384\/share-of-floor$/, { must: 0.6, goal: 0.85 }],
  // Percent.
  [/^decode\/[\w-]+\/statistics$/, { must: 0.5 }],
  // Percent. A cost that grows with the square of the depth, or jumps somewhere, misses it.
  [/^decode\/[\w-]+\/linearity$/, { must: 10 }],

  [/^prefill\/[\w-]+\/depth=0$/, { must: 0.95 }],
  [/^prefill\/int8\/depth=16384$/, { must: 1.3, goal: 2 }],

  // Nats. Beyond that the kernels compute something else.
  [/^gpu\/check\/\w+$/, { must: 1e-3 }],

  [/^kernels\/[\w.-]+\/\w+\/depth=32768\/read$/, { must: 1.05 }],
  [/^kernels\/[\w.-]+\/int8\/depth=32768\/model of/, { must: 1.75 }],
  [/^kernels\/[\w.-]+\/int4\/depth=32768\/model of/, { must: 3 }],

  [/^memory\/int8\/head=64\/tokens=4096$/, { must: 1.75 }],
  [/^memory\/int8\/head=64\/tokens=16384$/, { must: 1.85 }],
  [/^memory\/int8\/head=64\/tokens=16384\/bits$/, { must: 8.7 }],
  [/^memory\/int8\/head=128\/tokens=16384\/bits$/, { must: 8.6 }],
  [/^memory\/k8v4\/head=64\/tokens=16384\/bits$/, { must: 7.2 }],
  [/^memory\/k8v4\/head=128\/tokens=16384\/bits$/, { must: 7 }],
  [/^memory\/int4\/head=64\/tokens=16384\/bits$/, { must: 5.5 }],
  [/^memory\/int4\/head=128\/tokens=16384\/bits$/, { must: 5.2 }],

  // Percent of prompt tokens, where the context is long; of all tokens; milliseconds.
  [/^typing\/context-16k\/file=14k\/cached$/, { must: 95 }],
  [/^typing\/[\w/=-]+\/wasted$/, { must: 10 }],
  [/^typing\/[\w/=-]+\/type-through$/, { must: 10 }],

  [/^lookup\/hot\/decode$/, { must: 0.95 }],
  [/^lookup\/\w+\/decode$/, { must: 1, goal: 1.3 }],

  // At most 1.2 times as long.
  [/^load\/[\w-]+$/, { must: 0.83 }],

  // Percent.
  [/^quality\/int8\/context=\d+\/perplexity-change$/, { must: 0.1 }],
  [/^quality\/int4\/context=\d+\/perplexity-change$/, { must: 2 }],
  [/^quality\/int8\/context=\d+\/same-top$/, { must: 98 }],
];

/** The first that fits the case; nothing is asked of most. */
export function targetOf(caseName: string): Target | undefined {
  return targets.find(([pattern]) => pattern.test(caseName))?.[1];
}
