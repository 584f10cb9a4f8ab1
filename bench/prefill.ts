/** `npm run bench:prefill`: prompt evaluation, 512 tokens at depth. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { stock } from './engine.ts';
import { runBenchmark } from './harness.ts';
import { measureSpeed } from './speed.ts';

await runBenchmark('prefill', benchmarkModel.name, (options) =>
  measureSpeed(
    {
      name: 'prefill',
      depths: options.quick ? [0] : [0, 4096, 16_384],
      rounds: options.quick ? 3 : 5,
      tokens: 512,
      batch: 512,
      against: [...stock.keys()].slice(0, options.quick ? 1 : undefined),
      must: (_, depth) => (depth === 0 ? 0.95 : undefined),
    },
    options,
  ),
);
