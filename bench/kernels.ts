/**
 * `npm run bench:kernels`: what CUDA's decode kernel reads at depth, counted by the emulator, and
 * what that would come to on some GPUs by a model of them.
 */
import { decodeSeconds, gpus } from './gpuModel.ts';
import { progress, rowOf, runBenchmark, type Options, type Row } from './harness.ts';
import { countCudaBytes, type CudaBytes } from './native.ts';

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

/** By tier: the window that the policy `selective` gives it; with `fp16` it makes no difference. */
const windows: ReadonlyMap<string, number> = new Map([
  ['fp16', 256],
  ['int8', 256],
  ['k8v4', 896],
  ['int4', 896],
]);

const sink = 16;
const blockTokens = 128;

async function* measure({ quick, selects }: Options): AsyncGenerator<Row> {
  const depth = quick ? 4096 : 32_768;
  const splits = quick ? 8 : 32;
  const blocks = Math.ceil(depth / blockTokens);
  for (const { name, kvHeads, group, headSize } of shapes) {
    const caseOf = (tier: string, what: string): string =>
      `kernels/${name}/${tier}/depth=${depth}/${what}`;
    const counted = new Map<string, CudaBytes>();
    for (const [tier, window] of windows) {
      progress(`counting ${tier}`);
      const settings = { tier, depth, sink, window, splits, group, 'head-dim': headSize };
      const bytes = await countCudaBytes(settings);
      counted.set(tier, bytes);
      const what = { unit: 'of the bytes needed', better: 'lower' } as const;
      if (selects(caseOf(tier, 'read')))
        yield rowOf({ ...what, case: caseOf(tier, 'read') }, [bytes.read / bytes.needed]);
    }
    for (const gpu of gpus) {
      const microseconds = new Map(
        [...counted].map(([tier, { read, sharedBytes }]): [string, number] => [
          tier,
          1e6 * decodeSeconds(gpu, { kvHeads, blocks, sharedBytes }, read),
        ]),
      );
      const fp16 = { name: 'fp16', samples: [microseconds.get('fp16') ?? Number.NaN] };
      for (const [tier, time] of microseconds) {
        const what = { case: caseOf(tier, `model of ${gpu.name}`), unit: 'us a layer' };
        if (selects(what.case))
          yield rowOf({ ...what, better: 'lower' }, [time], tier === 'fp16' ? undefined : fp16);
      }
    }
  }
}

await runBenchmark({ name: 'kernels', model: () => 'shapes only', measure });
