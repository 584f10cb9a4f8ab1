/** `npm run bench:load`: from a file in the page cache to a model that can evaluate. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import type { CacheOptions } from '../sidecar/engine/addon.ts';
import { loadEngine, ours, stock, stockBest } from './engine.ts';
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
  const baseline = stock.get(stockBest);
  if (!baseline) throw new Error(`no cache is called ${stockBest}`);
  const samplers = new Map([[stockBest, sample(baseline)]]);
  for (const [name, cache] of selected) samplers.set(name, sample(cache));
  const samples = await sampleInTurn(quick ? 15 : 45, samplers);
  const theirs = { name: stockBest, samples: samples.get(stockBest) ?? [] };
  for (const [name] of selected) {
    // At most 1.2 times as long.
    const what = { case: `load/${name}`, unit: 's', better: 'lower', must: 0.83 } as const;
    yield rowOf(what, samples.get(name) ?? [], theirs);
  }
}

await runBenchmark('load', benchmarkModel.name, measureLoad);
