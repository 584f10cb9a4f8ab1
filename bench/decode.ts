/** `npm run bench:decode`: single-token decoding at depth. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { stock } from './engine.ts';
import { runBenchmark } from './harness.ts';
import { measureSpeed } from './speed.ts';

/** At depth 0 there is nothing for the cache to win; from 4096 on it must not lose. */
const musts = new Map([
  [0, 0.97],
  [4096, 1],
]);

await runBenchmark('decode', benchmarkModel.name, (options) =>
  measureSpeed(
    {
      name: 'decode',
      depths: options.quick ? [0, 1024] : [0, 4096, 16_384],
      rounds: options.quick ? 3 : 5,
      tokens: options.quick ? 16 : 32,
      batch: 1,
      against: [...stock.keys()].slice(0, options.quick ? 1 : undefined),
      must: (_, depth) => musts.get(depth),
    },
    options,
  ),
);
