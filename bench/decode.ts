/** `npm run bench:decode`: single-token decoding at depth, how it scales, and how near it is to the floor. */
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { runBenchmark, type Options, type Row } from './harness.ts';
import { measureReporting } from './reporting.ts';
import type { Round } from './rounds.ts';
import { measureScaling } from './scaling.ts';
import { measureSpeed } from './speed.ts';

/**
 * From any depth on, 128 consecutive tokens code exactly one block: what coding costs is in the
 * figures in proportion.
 */
const round: Round = { tokens: 128, turn: 16, batch: 1 };

async function* measure(options: Options): AsyncGenerator<Row> {
  const { quick } = options;
  yield* measureSpeed(
    {
      name: 'decode',
      depths: quick ? [512] : [0, 4096, 16_384],
      round,
      rounds: quick ? 1 : 9,
      slowRounds: quick ? 1 : 3,
      comparisons: [
        { cache: 'int8', depth: 16_384, baseline: 'llama.cpp q8_0 fa=on' },
        { cache: 'int8', depth: 16_384, baseline: 'full' },
      ],
    },
    options,
  );
  yield* measureScaling(
    {
      name: 'decode',
      cache: 'int8',
      depths: quick ? [256, 512, 1024] : [1024, 2048, 4096, 8192, 16_384, 32_768],
      floorDepth: quick ? 1024 : 16_384,
      round,
      rounds: quick ? 1 : 9,
    },
    options,
  );
  yield* measureReporting('decode', 'int8', options);
}

await runBenchmark({ name: 'decode', model: () => benchmarkModel.name, measure });
