/** `npm run bench:memory`: what the cache holds, by the pool's own count. */
import type { CacheStats } from '../sidecar/engine/addon.ts';
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import type { ModelSpec } from '../test/fixtures/models/architectures.ts';
import { anyTokens, goTo, loadEngine, ours } from './engine.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';

/** Layers and KV heads of the benchmark model behind hardly any work. */
const cacheOnlyModel = (headSize: number): ModelSpec => ({
  ...benchmarkModel,
  name: `bench-cache-${headSize}`,
  vocabulary: 4096,
  embedding: 2 * headSize,
  heads: 2,
  headSize,
  feedForward: 128,
});

const headSizes = [64, 128];

async function* measureMemory({ quick, threads, selects }: Options): AsyncGenerator<Row> {
  const lengths = quick ? [4096] : [4096, 16_384];
  for (const headSize of headSizes) {
    const modelPath = modelFile(cacheOnlyModel(headSize));
    for (const [name, cache] of ours) {
      const prefix = (length: number): string => `memory/${name}/head=${headSize}/tokens=${length}`;
      const selected = lengths.filter((length) => selects(prefix(length)));
      const longest = selected.at(-1);
      if (longest === undefined) continue;
      const tokens = anyTokens(longest);
      const engine = await loadEngine({ modelPath, cache, threads, contextTokens: longest });
      try {
        for (const length of selected) {
          progress(`filling ${name} to ${length} tokens`);
          await goTo(engine, tokens, length);
          yield* rowsOf(prefix(length), engine.stats());
        }
      } finally {
        await engine.close();
      }
    }
  }
}

function* rowsOf(
  prefix: string,
  { bytes, fp16Bytes, reservedBytes, tiers }: CacheStats,
): Generator<Row> {
  const what = { unit: 'bytes', better: 'lower' } as const;
  yield rowOf({ ...what, case: prefix }, [bytes], { name: 'FP16', samples: [fp16Bytes] });
  yield rowOf({ case: `${prefix}/bits`, unit: 'bits per element', better: 'lower' }, [
    (16 * bytes) / fp16Bytes,
  ]);
  for (const tier of tiers) yield rowOf({ ...what, case: `${prefix}/${tier.name}` }, [tier.bytes]);
  yield rowOf({ ...what, case: `${prefix}/reserved` }, [reservedBytes]);
}

await runBenchmark({
  name: 'memory',
  model: () => 'bench-cache',
  measure: measureMemory,
});
