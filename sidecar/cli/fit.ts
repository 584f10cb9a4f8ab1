import { resolve } from 'node:path';
import { Command } from 'commander';
import { describeFailure, type Failure } from '../engine/failure.ts';
import { bundledModelPath, loadAddon } from '../engine/load.ts';
import { exitCodes } from '../exit.ts';
import { cachesOf, drops, keeperOf, ladderOf, type CacheSettings } from '../fit/caches.ts';
import { recommend } from '../fit/recommend.ts';
import { cacheFit } from '../fit/room.ts';
import { hubSource, localSource, parseAddress, type Source } from '../fit/source.ts';
import type { ModelHeader } from '../models/header.ts';
import { hubOf } from '../models/hub.ts';
import { memoryHere } from '../models/machine.ts';
import type { SightlineSettings } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { formatFit, type FitReport, type PlaceReport } from './fitReport.ts';
import { addCacheOptions, settingsOf, wrongUsage, type SettingOptions } from './options.ts';
import { count, say } from './output.ts';
import { parseSize } from './size.ts';

interface OwnOptions {
  readonly memory?: string;
  readonly json?: true;
}

/** Loads no model: what it says comes from headers, and of files on a hub nothing else is read. */
export function fitCommand(): Command {
  const command = new Command('fit')
    .description(
      'Say which KV cache of a model fits into memory beside its weights, at which length of the context, and which to take.',
    )
    .option(
      '--model <model>',
      'GGUF file, or hf:OWNER/REPOSITORY, with :Q4_K_M or :FILE.gguf behind it for one of its quantisations; the bundled model by default',
    )
    .option(
      '--memory <size>',
      "what there is, such as 12GB, 8GiB or 900MiB, all in powers of 1024: the system's, or with --device cuda a GPU's; this machine's by default",
    )
    .option('--context <tokens>', 'length of the context; 0: as the model was trained (0)')
    .option(
      '--device <name>',
      "where it is to run: cpu, cuda, or auto: this machine's GPU where it has one, else the CPU (auto)",
    );
  addCacheOptions(command);
  return command
    .option('--json', 'print the answer as JSON')
    .addHelpText(
      'after',
      `
With --cache or --tier the table is about that cache alone; the advice is about those that keep every token.
HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE are heeded.

Examples:
  sightline fit
  sightline fit --model model.gguf --memory 12GB --device cuda --context 65536
  sightline fit --model hf:Qwen/Qwen2.5-Coder-7B-Instruct-GGUF --memory 16GB
  sightline fit --model hf:Qwen/Qwen2.5-Coder-7B-Instruct-GGUF:Q4_K_M --cache h2o --keep 0.3 --json`,
    )
    .action(async (options: OwnOptions & SettingOptions) => {
      process.exitCode = await run(command, options);
    });
}

async function run(command: Command, options: OwnOptions & SettingOptions): Promise<number> {
  const { model, memory, ...others } = options;
  const settings = settingsOf(command, others);
  const size = memory === undefined ? undefined : parseSize(memory);
  if (memory !== undefined && size === undefined) {
    const text = JSON.stringify(memory);
    return wrongUsage(command, `--memory must be a size such as 12GB or 900MiB, not ${text}`);
  }
  const source = await sourceOf(model, new AbortController().signal);
  if (!source.ok) return failed(source.error);
  const { header } = source.value;
  const contextTokens =
    settings.model.contextTokens > 0 ? settings.model.contextTokens : header.trainedTokens;
  if (contextTokens === 0) {
    return wrongUsage(
      command,
      '--context is needed: the file does not say how long it was trained',
    );
  }
  const place = size === undefined ? await placeHere(settings) : succeed(placeOf(size, settings));
  if (!place.ok) return failed(place.error);
  const isNarrowed = options.cache !== undefined || options.tier !== undefined;
  const caches = isNarrowed ? [settings.cache] : cachesFor(header, settings.cache);
  const report = reportOf(source.value, contextTokens, place.value, settings.cache, caches);
  for (const warning of report.warnings) say(warning);
  process.stdout.write(`${options.json ? JSON.stringify(report, null, 2) : formatFit(report)}\n`);
  return exitCodes.done;
}

async function sourceOf(
  model: string | undefined,
  signal: AbortSignal,
): Promise<Result<Source, Failure>> {
  const address = model === undefined ? undefined : parseAddress(model);
  if (address === undefined) {
    return localSource(model === undefined ? bundledModelPath() : resolve(model), signal);
  }
  const hub = hubOf(undefined);
  if (!hub.ok) return hub;
  say(`asking ${hub.value.endpoint} about ${address.repository}`);
  return hubSource(hub.value, address, signal);
}

const placeOf = (bytes: number, { gpu }: SightlineSettings): PlaceReport => ({
  device: gpu.use === 'required' ? 'gpu' : 'cpu',
  bytes,
});

async function placeHere(settings: SightlineSettings): Promise<Result<PlaceReport, Failure>> {
  const { bytes, gpu } = await memoryHere(() => loadAddon(), settings);
  if (gpu !== undefined) {
    return succeed({ device: 'gpu', bytes: gpu.bytes, name: gpu.name, ready: gpu.ready });
  }
  if (settings.gpu.use === 'required') {
    const message = 'This machine has no GPU to look at. Say with --memory how much another has.';
    return fail({ code: 'GPU_UNAVAILABLE', message });
  }
  return succeed({ device: 'cpu', bytes });
}

/** Where bits and policies decide nothing, one row says it all. */
const cachesFor = (header: ModelHeader, base: CacheSettings): CacheSettings[] =>
  keeperOf(header) === 'sightline' ? cachesOf(base) : ladderOf(base).slice(0, 1);

function reportOf(
  { header, candidates }: Source,
  contextTokens: number,
  place: PlaceReport,
  base: CacheSettings,
  caches: readonly CacheSettings[],
): FitReport {
  const { name, architecture, trainedTokens } = header;
  const keeper = keeperOf(header);
  return {
    model: { name, architecture, trainedTokens, layers: header.layers },
    place,
    contextTokens,
    warnings: warningsOf(header, contextTokens, place),
    candidates: candidates.map((candidate) => {
      const fit = (cache: CacheSettings) =>
        cacheFit(header, candidate.weightBytes, contextTokens, cache, place);
      const ladder = ladderOf(base).map(fit);
      const dropping = cachesFor(header, base).filter(drops).map(fit);
      const { budgetMiB } = base;
      return {
        ...candidate,
        caches: caches.map(fit),
        recommendation: recommend({ contextTokens, place, budgetMiB, keeper, ladder, dropping }),
      };
    }),
  };
}

function warningsOf(
  { trainedTokens, layers, slides }: ModelHeader,
  contextTokens: number,
  place: PlaceReport,
): string[] {
  const warnings: string[] = [];
  if (trainedTokens > 0 && contextTokens > trainedTokens) {
    warnings.push(
      `the model was trained for ${count(trainedTokens)} tokens, and loads with no more; ${count(contextTokens)} are counted all the same`,
    );
  }
  const without = layers.filter(({ kvHeads }) => kvHeads === 0).length;
  if (without > 0) {
    warnings.push(
      `${without} of ${layers.length} layers have no KV cache by the header; what else they keep is not counted`,
    );
  }
  if (slides) {
    warnings.push(
      'some layers have windows of their own: what is said of the cache is the most that it can take',
    );
  }
  if (place.ready === false) {
    warnings.push(
      `${place.name ?? 'the GPU'} is used once "Sightline: Install GPU Runtime" was run; --device cpu looks at the system's memory`,
    );
  }
  return warnings;
}

/** What the hub says is for the editor, too; here a token comes from the environment. */
function failed(failure: Failure): number {
  say(describeFailure(failure));
  const { code } = failure;
  if (code === 'BAD_ARGUMENT') return exitCodes.usage;
  if (code === 'ACCESS_DENIED') {
    say('of a name that it does not have the hub says the same; a token is taken from HF_TOKEN');
  }
  return code === 'ACCESS_DENIED' || code === 'DOWNLOAD_FAILED' || code === 'OFFLINE'
    ? exitCodes.hubFailed
    : exitCodes.engineFailed;
}
