/** `npm run bench:load`: from a file in the page cache to a model that can evaluate. */
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import type { CacheOptions } from '../sidecar/engine/addon.ts';
import { loadEngine, ours, stock } from './engine.ts';
import { rowOf, runBenchmark, sampleInTurn, type Options, type Row } from './harness.ts';

/** Short enough that clearing llama.cpp's own cache is no part of the comparison. */
const contextTokens = 512;

const baselineName = 'llama.cpp f16 fa=off';

async function* measureLoad({ quick, threads, selects }: Options): AsyncGenerator<Row> {
  const modelPath = modelFile(benchmarkModel);
  const sample = (cache: CacheOptions) => async (): Promise<number> => {
    const start = performance.now();
    const engine = await loadEngine({ modelPath, cache, threads, contextTokens });
    const seconds = (performance.now() - start) / 1000;
    await engine.close();
    return seconds;
  };
  const selected = [...ours].filter(([name]) => selects(`load/${name}`));
  const baseline = stock.get(baselineName);
  if (!baseline) throw new Error(`no cache is called ${baselineName}`);
  const samplers = new Map([[baselineName, sample(baseline)]]);
  for (const [name, cache] of selected) samplers.set(name, sample(cache));
  await sampleInTurn(1, samplers); // warms up
  const samples = await sampleInTurn(quick ? 15 : 45, samplers);
  const theirs = { name: baselineName, samples: samples.get(baselineName) ?? [] };
  for (const [name] of selected) {
    const what = { case: `load/${name}`, unit: 's', better: 'lower' } as const;
    yield rowOf(what, samples.get(name) ?? [], theirs);
  }
}

await runBenchmark({ name: 'load', model: () => benchmarkModel.name, measure: measureLoad });
