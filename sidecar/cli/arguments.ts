import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { SightlineSettings } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { parseSettings } from '../settings.ts';

export const usage = `Usage: complete FILE:LINE[:COLUMN] [options]

Completes FILE at the end of LINE, or before COLUMN (both count from 1), with the whole file as context.

  --model FILE               GGUF model; the bundled one by default
  --policy NAME              how the KV cache is kept: auto, selective, full, hierarchical, compressed, h2o,
                             attention, importance or lowrank (selective)
  --tier NAME                what older tokens are held in: int8, fp8, k8v4, int4 or k4v2 (int8)
  --sink N                   first tokens that stay FP16 (16)
  --window N                 most recent tokens that stay FP16; 0: 256 with 8 bits, 896 below (0)
  --span N                   most recent tokens that hierarchical holds in FP16 or int8 (4096)
  --keep N                   share of older tokens that h2o and importance keep (0.5)
  --budget N                 MiB the KV cache may take; 0: no bound, auto takes half of what is left (0)
  --context N                tokens of context; 0: as the model was trained (0)
  --gpu NAME                 auto: an NVIDIA GPU where one can be used; required, or off: the CPU (auto)
  --gpu-layers N             layers of the model on the GPU, the others on the CPU; 0: as many as fit (0)
  --cuda-path FOLDER         where CUDA's libraries are, if in no usual place
  --threads N                CPU threads; 0: all physical cores but one (0)
  --max-tokens N             most tokens to generate (64)
  --json                     print the report as JSON, with the completion in it
`;

const options = {
  model: { type: 'string' },
  policy: { type: 'string' },
  tier: { type: 'string' },
  sink: { type: 'string' },
  window: { type: 'string' },
  span: { type: 'string' },
  keep: { type: 'string' },
  budget: { type: 'string' },
  context: { type: 'string' },
  gpu: { type: 'string' },
  'gpu-layers': { type: 'string' },
  'cuda-path': { type: 'string' },
  threads: { type: 'string' },
  'max-tokens': { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** What the settings are called on the command line. */
const optionNames: Readonly<Record<string, string>> = {
  'model.path': '--model',
  'model.contextTokens': '--context',
  'cache.policy': '--policy',
  'cache.tier': '--tier',
  'cache.sink': '--sink',
  'cache.window': '--window',
  'cache.span': '--span',
  'cache.keep': '--keep',
  'cache.budgetMiB': '--budget',
  'gpu.use': '--gpu',
  'gpu.layers': '--gpu-layers',
  'gpu.cudaPath': '--cuda-path',
  threads: '--threads',
  'completion.maxTokens': '--max-tokens',
};

/** A place in a file; both counts start at 1. Without a column: the end of the line. */
export interface Target {
  readonly file: string;
  readonly line: number;
  readonly column: number | undefined;
}

export interface CommandLine {
  readonly target: Target;
  readonly settings: SightlineSettings;
  readonly json: boolean;
}

/** The arguments after `complete`. The error is a line for the user; `help` asks for the usage. */
export function parseCommandLine(args: readonly string[]): Result<CommandLine | 'help', string> {
  let parsed;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help) return succeed('help');
  const [place, ...more] = positionals;
  if (place === undefined) return fail('FILE:LINE is missing');
  if (more.length > 0) return fail(`one FILE:LINE at a time, not also ${more.join(' ')}`);
  const target = parseTarget(place);
  if (target === undefined) {
    return fail(`${place} is not FILE:LINE or FILE:LINE:COLUMN, with counts from 1`);
  }

  const { settings, problems } = parseSettings({
    model: {
      path: values.model === undefined ? undefined : resolve(values.model),
      contextTokens: numberOf(values.context),
    },
    cache: {
      policy: values.policy,
      tier: values.tier,
      sink: numberOf(values.sink),
      window: numberOf(values.window),
      span: numberOf(values.span),
      keep: numberOf(values.keep),
      budgetMiB: numberOf(values.budget),
    },
    gpu: {
      use: values.gpu,
      layers: numberOf(values['gpu-layers']),
      cudaPath: values['cuda-path'] === undefined ? undefined : resolve(values['cuda-path']),
    },
    threads: numberOf(values.threads),
    completion: { maxTokens: numberOf(values['max-tokens']) },
  });
  const [problem] = problems;
  if (problem !== undefined) {
    return fail(`${optionNames[problem.name] ?? problem.name} ${problem.reason}`);
  }
  return succeed({ target, settings, json: values.json });
}

function parseTarget(place: string): Target | undefined {
  const [, file, line, column] = /^(.+?):([1-9]\d*)(?::([1-9]\d*))?$/.exec(place) ?? [];
  if (file === undefined) return undefined;
  return { file, line: Number(line), column: column === undefined ? undefined : Number(column) };
}

/** The number that `text` writes; other text stays as it is, for the settings to refuse. */
const numberOf = (text: string | undefined): string | number | undefined =>
  text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
