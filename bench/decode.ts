/** `npm run bench:decode`: single-token decoding at depth. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { runBenchmark } from './harness.ts';
import { measureSpeed } from './speed.ts';

await runBenchmark('decode', benchmarkModel.name, (options) =>
  measureSpeed(
    {
      name: 'decode',
      depths: options.quick ? [0, 1024] : [0, 4096, 16_384],
      // Many short samples: a median over them does not see the machine's hiccups.
      rounds: options.quick ? 15 : 41,
      tokens: 8,
      batch: 1,
      deepestForAll: 4096,
      // At depth 0 there is nothing for the cache to win; from 4096 on it must not lose.
      must: new Map([
        [0, 0.97],
        [4096, 1],
      ]),
    },
    options,
  ),
);
