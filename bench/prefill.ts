/** `npm run bench:prefill`: prompt evaluation, 512 tokens at depth. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { runBenchmark } from './harness.ts';
import { measureSpeed } from './speed.ts';

await runBenchmark('prefill', benchmarkModel.name, (options) =>
  measureSpeed(
    {
      name: 'prefill',
      depths: options.quick ? [0] : [0, 4096, 16_384],
      rounds: options.quick ? 5 : 7,
      tokens: 512,
      batch: 512,
      deepestForAll: 0,
      must: new Map([[0, 0.95]]),
    },
    options,
  ),
);
