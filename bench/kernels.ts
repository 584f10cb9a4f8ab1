/**
 * `npm run bench:kernels`: what CUDA's decode kernel reads at depth, counted by the emulator, and
 * what that would come to on some GPUs by a model of them.
 */
import { decodeSeconds, gpus, splitsFor, type DecodeWork } from './gpuModel.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';
import { countCudaBytes } from './native.ts';

interface Shape {
  readonly name: string;
  readonly kvHeads: number;
  readonly group: number;
  readonly headSize: number;
}

const shapes: readonly Shape[] = [
  { name: 'Llama-3-8B', kvHeads: 8, group: 4, headSize: 128 },
  { name: 'Qwen2.5-Coder-7B', kvHeads: 4, group: 7, headSize: 128 },
];

/** By tier: the window that the policy `selective` gives it. */
const windows: ReadonlyMap<string, number> = new Map([
  ['fp16', 256],
  ['int8', 256],
  ['k8v4', 1024],
  ['int4', 1024],
]);

const sink = 16;
const blockTokens = 128;

async function* measure({ quick, selects }: Options): AsyncGenerator<Row> {
  const depth = quick ? 4096 : 32_768;
  for (const shape of shapes) {
    const bytes = new Map<string, number>();
    const work = (sharedBytes: number): DecodeWork => ({
      kvHeads: shape.kvHeads,
      blocks: Math.ceil(depth / blockTokens),
      sharedBytes,
    });
    let sharedBytes = 0;
    for (const [tier, window] of windows) {
      progress(`counting ${tier}`);
      const settings = { tier, depth, sink, window, splits: quick ? 8 : 32 };
      const { needed, read, ...size } = await countCudaBytes({
        ...settings,
        group: shape.group,
        'head-dim': shape.headSize,
      });
      bytes.set(tier, read);
      ({ sharedBytes } = size);
      const name = `kernels/${shape.name}/${tier}/depth=${depth}/read`;
      if (!selects(name)) continue;
      yield rowOf({ case: name, unit: 'of the bytes needed', better: 'lower' }, [read / needed]);
    }
    for (const gpu of gpus) {
      const seconds = (tier: string): number =>
        decodeSeconds(gpu, work(sharedBytes), bytes.get(tier) ?? Number.NaN);
      for (const tier of windows.keys()) {
        const name = `kernels/${shape.name}/${tier}/depth=${depth}/model of ${gpu.name}`;
        if (!selects(name)) continue;
        const what = { case: name, unit: 'us a layer', better: 'lower' } as const;
        const baseline =
          tier === 'fp16' ? undefined : { name: 'fp16', samples: [1e6 * seconds('fp16')] };
        yield rowOf(what, [1e6 * seconds(tier)], baseline);
      }
      progress(`${gpu.name}: ${splitsFor(gpu, work(sharedBytes))} splits`);
    }
  }
}

await runBenchmark({ name: 'kernels', model: () => 'shapes only', measure });
