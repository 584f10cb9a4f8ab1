/**
 * `npm run bench:gpu`: on an NVIDIA GPU, decode and prefill at depth with every tier, next to llama.cpp's own caches. First
 * that the GPU computes what the CPU does. `--model FILE` takes a GGUF file in place of the benchmark's model.
 */
import path from 'node:path';
import { gpuSearch } from '../sidecar/gpu/search.ts';
import { modelFile } from '../test/fixtures/models/generate.ts';
import { benchmarkModel } from '../test/fixtures/models/specs.ts';
import { addonHere } from './engine.ts';
import { measureGpu } from './gpuSpeed.ts';
import { runBenchmark, type Options, type Row } from './harness.ts';

let gpuName: string | null = null;

const modelOf = ({ own }: Options): string | undefined => own['model'];

async function* measure(options: Options): AsyncGenerator<Row> {
  const { quick, selects } = options;
  const loaded = addonHere();
  const gpu = gpuSearch({ use: 'required', layers: 0, cudaPath: '' });
  if (gpu === undefined) throw new Error('There is no GPU to be had on this platform.');
  const seen = await loaded.addon.gpu();
  gpuName = `${seen.name}, CUDA ${seen.cuda}`;
  yield* measureGpu({
    loaded,
    gpu,
    modelPath: modelOf(options) ?? modelFile(benchmarkModel),
    depths: quick ? [4096] : [0, 4096, 16_384, 32_768, 65_536, 131_072],
    decode: { tokens: 128, turn: 32, batch: 1 },
    prefill: { tokens: 2048, turn: 512, batch: 512 },
    rounds: quick ? 2 : 7,
    checkedTokens: 1024,
    selects,
  });
}

await runBenchmark({
  name: 'gpu',
  model: (options) => path.basename(modelOf(options) ?? benchmarkModel.name),
  gpu: () => gpuName,
  options: ['model'],
  measure,
});
