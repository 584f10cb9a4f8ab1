import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitCodes } from '../exit.ts';
import type { SightlineSettings } from '../protocol.ts';
import { parseSettings } from '../settings.ts';

/** What commands take of the model, its cache and the device, as commander hands it over. */
export interface SettingOptions {
  readonly model?: string;
  readonly context?: string;
  readonly cache?: string;
  readonly tier?: string;
  readonly sinkSize?: string;
  readonly windowSize?: string;
  readonly span?: string;
  readonly keep?: string;
  readonly budget?: string;
  readonly device?: string;
  readonly gpuLayers?: string;
  readonly cudaPath?: string;
  readonly threads?: string;
  readonly maxNewTokens?: string;
}

const devices: Readonly<Record<string, string>> = { auto: 'auto', cpu: 'off', cuda: 'required' };

const addModelOptions = (command: Command): Command =>
  command
    .option('--model <file>', 'GGUF model; the bundled one by default')
    .option('--context <tokens>', 'length of the context; 0: as the model was trained (0)');

export const addCacheOptions = (command: Command): Command =>
  command
    .option(
      '--cache <name>',
      'how the KV cache is kept: auto, selective, full, hierarchical, compressed, h2o, attention, importance or lowrank (selective)',
    )
    .option('--tier <name>', 'what older tokens are held in: int8, fp8, k8v4, int4 or k4v2 (int8)')
    .option('--sink-size <tokens>', 'first tokens that stay FP16 (16)')
    .option(
      '--window-size <tokens>',
      'most recent tokens that stay FP16; 0: 256 with 8 bits, 896 below (0)',
    )
    .option('--span <tokens>', 'most recent tokens that hierarchical holds in FP16 or int8 (4096)')
    .option('--keep <share>', 'share of older tokens that h2o and importance keep (0.5)')
    .option(
      '--budget <MiB>',
      'what the KV cache may take; 0: no bound, auto takes half of what is left (0)',
    );

export const addDeviceOptions = (command: Command): Command =>
  command
    .option('--device <name>', 'cpu, cuda, or auto: an NVIDIA GPU where one can be used (auto)')
    .option(
      '--gpu-layers <count>',
      'layers of the model on the GPU, the others on the CPU; 0: as many as fit (0)',
    )
    .option('--cuda-path <folder>', "where CUDA's libraries are, if in no usual place")
    .option('--threads <count>', 'CPU threads; 0: all physical cores but one (0)');

/** All of them but `maxNewTokens`, for commands that run the model as an editor would. */
export const addSettingOptions = (command: Command): Command =>
  addDeviceOptions(addCacheOptions(addModelOptions(command)));

/** What the settings are called on the command line. */
const optionNames: Readonly<Record<string, string>> = {
  'model.path': '--model',
  'model.contextTokens': '--context',
  'cache.policy': '--cache',
  'cache.tier': '--tier',
  'cache.sink': '--sink-size',
  'cache.window': '--window-size',
  'cache.span': '--span',
  'cache.keep': '--keep',
  'cache.budgetMiB': '--budget',
  'gpu.layers': '--gpu-layers',
  'gpu.cudaPath': '--cuda-path',
  threads: '--threads',
  'completion.maxTokens': '--max-new-tokens',
};

/** The settings that the options stand for. Ends the command, as one that is used wrongly, where one is not understood. */
export const settingsOf = (command: Command, options: SettingOptions): SightlineSettings =>
  parseSettings(settingsGiven(command, options)).settings;

/** Of these, those that there are options for. */
export function settingsGiven(command: Command, options: SettingOptions): object {
  const { device = 'auto' } = options;
  const use = devices[device];
  if (use === undefined) {
    const known = Object.keys(devices).map((name) => JSON.stringify(name));
    wrongUsage(
      command,
      `--device must be one of ${known.join(', ')}, not ${JSON.stringify(device)}`,
    );
  }
  const given = {
    model: {
      path: options.model === undefined ? undefined : resolve(options.model),
      contextTokens: numberOf(options.context),
    },
    cache: {
      policy: options.cache,
      tier: options.tier,
      sink: numberOf(options.sinkSize),
      window: numberOf(options.windowSize),
      span: numberOf(options.span),
      keep: numberOf(options.keep),
      budgetMiB: numberOf(options.budget),
    },
    gpu: {
      use,
      layers: numberOf(options.gpuLayers),
      cudaPath: options.cudaPath === undefined ? undefined : resolve(options.cudaPath),
    },
    threads: numberOf(options.threads),
    completion: { maxTokens: numberOf(options.maxNewTokens) },
  };
  const [problem] = parseSettings(given).problems;
  if (problem !== undefined)
    wrongUsage(command, `${optionNames[problem.name] ?? problem.name} ${problem.reason}`);
  return given;
}

/** Ends the command with a line that says what is wrong with how it was called. */
export const wrongUsage = (command: Command, message: string): never =>
  command.error(message, { exitCode: exitCodes.usage });

/** The number that `text` writes; other text stays as it is, for the settings to refuse. */
const numberOf = (text: string | undefined): string | number | undefined =>
  text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
