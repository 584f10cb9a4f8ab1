/** `npm run bench:attention`: the kernels alone, by tier, instruction set and shape, beside ggml's. */
import { stock } from './engine.ts';
import { progress, rowOf, runBenchmark, sampleInTurn, type Options, type Row } from './harness.ts';
import {
  kernelNames,
  llamaLibraries,
  startNative,
  type NativeProcess,
  type Settings,
} from './native.ts';
import { median } from '../sidecar/evaluation/statistics.ts';

/** One step's attention in one layer. */
interface Shape {
  readonly queries: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly headSize: number;
  readonly depth: number;
}

/** A kernel on a cache. */
interface Contender {
  readonly name: string;
  readonly command: string;
  readonly settings: Settings;
}

const tiers = ['fp16', 'fp8', 'int8', 'k8v4', 'int4', 'k4v2'];

// Qwen2.5-Coder-0.5B; 7B; heads as wide as Gemma's; the first again with a whole batch of queries.
const small = { queries: 1, kvHeads: 2, group: 7, headSize: 64, depth: 16_384 };
const shapes: readonly Shape[] = [
  small,
  { ...small, depth: 4096 },
  { ...small, kvHeads: 4, headSize: 128 },
  { ...small, kvHeads: 4, group: 2, headSize: 256, depth: 4096 },
  { ...small, queries: 512 },
];

async function* measureAttention(options: Options): AsyncGenerator<Row> {
  const [fastest = 'portable', ...others] = await kernelNames();
  const own = (kernel: string, tier: string): Contender => {
    return { name: `${tier}/${kernel}`, command: 'attention', settings: { kernel, tier } };
  };
  const ofTiers = tiers.map((tier) => own(fastest, tier));
  const ofKernels = others.flatMap((kernel) =>
    ['fp16', 'int8', 'int4'].map((tier) => own(kernel, tier)),
  );
  for (const shape of options.quick ? [{ ...small, depth: 1024 }] : shapes)
    yield* measureShape(shape, shape === small ? [...ofTiers, ...ofKernels] : ofTiers, options);
}

/** Milliseconds of a layer, as a ratio to the fastest of ggml's. */
async function* measureShape(
  shape: Shape,
  owns: readonly Contender[],
  { quick, threads, selects }: Options,
): AsyncGenerator<Row> {
  const { queries, kvHeads, group, headSize, depth } = shape;
  const place = `head=${headSize}/group=${group}/depth=${depth}/queries=${queries}`;
  const caseOf = ({ name }: Contender): string => `attention/${name}/${place}`;
  const selected = owns.filter((contender) => selects(caseOf(contender)));
  if (selected.length === 0) return;

  // More than any cache holds: what is read comes from memory, as when a model's layers take turns.
  const layers = queries === 1 ? Math.ceil(2 ** 28 / (4 * kvHeads * headSize * depth)) : 2;
  const geometry = { queries, heads: kvHeads * group, 'kv-heads': kvHeads, 'head-dim': headSize };
  const ggml = ggmlContenders();
  const processes = new Map<Contender, NativeProcess>();
  try {
    for (const contender of [...selected, ...ggml]) {
      progress(`starting ${caseOf(contender)}`);
      const { command, settings } = contender;
      const started = await startNative(command, {
        ...settings,
        ...geometry,
        depth,
        layers,
        threads,
      });
      processes.set(contender, started);
      await started.ask('warm up');
    }
    const runs = new Map(
      [...processes].map(([contender, process]) => [
        contender,
        async (): Promise<number> => (1000 * Number(await process.ask('run'))) / layers,
      ]),
    );
    const samples = await sampleInTurn(quick ? 2 : queries === 1 ? 15 : 5, runs);
    const samplesOf = (contender: Contender): readonly number[] => samples.get(contender) ?? [];
    const [fastest] = ggml.toSorted((a, b) => median(samplesOf(a)) - median(samplesOf(b)));
    const baseline = fastest && { name: fastest.name, samples: samplesOf(fastest) };
    const what = { unit: 'ms', better: 'lower' } as const;
    for (const contender of selected)
      yield rowOf({ ...what, case: caseOf(contender) }, samplesOf(contender), baseline);
    for (const contender of ggml)
      yield rowOf({ ...what, case: caseOf(contender) }, samplesOf(contender));
  } finally {
    for (const process of processes.values()) await process.close();
  }
}

/** What llama.cpp's configurations compute attention with. */
function ggmlContenders(): readonly Contender[] {
  const libraries = llamaLibraries();
  return [...stock].map(([name, { type, flashAttention }]) => ({
    name,
    command: 'ggml-attention',
    settings: { libraries, type, 'flash-attention': flashAttention ? 'on' : 'off' },
  }));
}

await runBenchmark({ name: 'attention', model: () => 'kernels alone', measure: measureAttention });
