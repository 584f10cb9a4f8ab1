/** `npm run bench:load`: from a file in the page cache to a model that can evaluate. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import type { CacheOptions } from '../sidecar/engine/addon.ts';
import { loadEngine, ours, stock } from './engine.ts';
import { rowOf, runBenchmark, sampleInTurn, type Options, type Row } from './harness.ts';

/** Short enough that clearing llama.cpp's own cache is no part of the comparison. */
const contextTokens = 512;

async function* measureLoad({ quick, threads, selects }: Options): AsyncGenerator<Row> {
  const modelPath = modelFile(benchmarkModel);
  const sample = (cache: CacheOptions) => async (): Promise<number> => {
    const start = performance.now();
    const engine = await loadEngine(modelPath, cache, threads, contextTokens);
    const seconds = (performance.now() - start) / 1000;
    await engine.close();
    return seconds;
  };
  const selected = [...ours].filter(([name]) => selects(`load/${name}`));
  const baseline = [...stock].slice(0, 1);
  const samplers = [...baseline, ...selected].map(
    ([name, cache]) => [name, sample(cache)] as const,
  );
  const samples = await sampleInTurn(quick ? 5 : 15, new Map(samplers));
  const [stockName = ''] = baseline.map(([name]) => name);
  const theirs = { name: stockName, samples: samples.get(stockName) ?? [] };
  for (const [name] of selected) {
    // At most 1.2 times as long.
    const what = { case: `load/${name}`, unit: 's', better: 'lower', must: 0.83 } as const;
    yield rowOf(what, samples.get(name) ?? [], theirs);
  }
}

await runBenchmark('load', benchmarkModel.name, measureLoad);
