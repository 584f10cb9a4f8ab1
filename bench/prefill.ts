/** `npm run bench:prefill`: prompt evaluation, 512 tokens at depth. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { runBenchmark } from './harness.ts';
import { measureSpeed } from './speed.ts';

await runBenchmark({
  name: 'prefill',
  model: () => benchmarkModel.name,
  measure: (options) =>
    measureSpeed(
      {
        name: 'prefill',
        depths: options.quick ? [0] : [0, 4096, 16_384],
        round: { tokens: 512, turn: 512, batch: 512 },
        rounds: options.quick ? 2 : 7,
        slowRounds: options.quick ? 1 : 2,
        comparisons: [],
      },
      options,
    ),
});
