/** `npm run bench:memory`: what the cache holds, by the pool's own count. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import type { ModelSpec } from '../test/fixtures/models/architectures.ts';
import { anyTokens, goTo, loadEngine, ours } from './engine.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';

/** The cache of the benchmark model (layers, KV heads and their size) behind hardly any work. */
const cacheOnlyModel: ModelSpec = {
  ...benchmarkModel,
  name: 'bench-cache',
  vocabulary: 4096,
  embedding: 128,
  heads: 2,
  feedForward: 128,
};

const musts = new Map([
  [4096, 1.75],
  [16_384, 1.85],
]);

async function* measureMemory({ quick, threads, selects }: Options): AsyncGenerator<Row> {
  const lengths = [...musts.keys()].slice(0, quick ? 1 : undefined);
  for (const [name, cache] of ours) {
    const selected = lengths.filter((length) => selects(`memory/${name}/tokens=${length}`));
    const longest = selected.at(-1);
    if (longest === undefined) continue;
    const tokens = anyTokens(longest);
    const engine = await loadEngine(modelFile(cacheOnlyModel), cache, threads, longest);
    try {
      for (const length of selected) {
        progress(`filling ${name} to ${length} tokens`);
        await goTo(engine, tokens, length);
        const { bytes, fp16Bytes, reservedBytes, tiers } = engine.stats();
        const what = { unit: 'bytes', better: 'lower' } as const;
        const prefix = `memory/${name}/tokens=${length}`;
        const must = musts.get(length);
        const asked = cache.policy === 'selective' && must !== undefined ? { must } : {};
        const baseline = { name: 'FP16', samples: [fp16Bytes] };
        yield rowOf({ ...what, ...asked, case: prefix }, [bytes], baseline);
        for (const tier of tiers)
          yield rowOf({ ...what, case: `${prefix}/${tier.name}` }, [tier.bytes]);
        yield rowOf({ ...what, case: `${prefix}/reserved` }, [reservedBytes]);
      }
    } finally {
      await engine.close();
    }
  }
}

await runBenchmark('memory', cacheOnlyModel.name, measureMemory);
