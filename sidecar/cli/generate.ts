import { Command } from 'commander';
import { z } from 'zod';
import { startOf } from '../context/head.ts';
import type { CompleteResult, Sampling } from '../engine/addon.ts';
import { runJob } from '../engine/job.ts';
import { bundledModelPath } from '../engine/load.ts';
import { sampled } from '../engine/sampling.ts';
import { joinTokens } from '../engine/tokens.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { exitCodes } from '../exit.ts';
import { count, speed } from '../figures.ts';
import { reportOf, type ProfileReport } from '../profile/report.ts';
import { succeed } from '../result.ts';
import { cacheStats, rate } from '../stats.ts';
import { memoryLines, memoryOf, type MemoryReport } from './memory.ts';
import { withModel } from './model.ts';
import { addSettingOptions, settingsOf, wrongUsage, type SettingOptions } from './options.ts';
import { profileFolder, writeProfile } from './profileFiles.ts';
import { formatProfile } from './profileTable.ts';
import { promptOf } from './text.ts';

const usual = sampled(0, 0);

interface OwnOptions {
  readonly prompt: string;
  readonly temperature: string;
  readonly topK: string;
  readonly topP: string;
  readonly minP: string;
  readonly seed: string;
  readonly profile?: true;
  readonly out: string;
  readonly json?: true;
}

/** What `--json` prints. Seconds, tokens and bytes. */
export interface Generated {
  readonly model: string;
  readonly text: string;
  readonly finish: CompleteResult['finish'];
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly seconds: {
    readonly load: number;
    readonly firstToken: number;
    readonly prefill: number;
    readonly decode: number;
  };
  readonly tokensPerSecond: {
    readonly prefill: number | undefined;
    readonly decode: number | undefined;
  };
  readonly memory: MemoryReport;
  /** With `--profile`. */
  readonly profile?: ProfileReport;
}

/** The text goes to stdout, the figures to stderr. */
export function generateCommand(): Command {
  const command = new Command('generate')
    .description('Continue a text, token by token as it comes, and say what the cache took.')
    .requiredOption('--prompt <text>', 'the text, or @FILE: what a file says');
  return addSettingOptions(command)
    .option('--max-new-tokens <count>', 'most tokens to generate (64)')
    .option('--temperature <number>', '0: always the likeliest token', '0')
    .option('--top-k <count>', 'of the likeliest tokens only so many; 0: all', String(usual.topK))
    .option(
      '--top-p <share>',
      'of the likeliest tokens those that make up this share',
      String(usual.topP),
    )
    .option(
      '--min-p <share>',
      'no token less likely than this share of the likeliest',
      String(usual.minP),
    )
    .option('--seed <number>', 'the same seed gives the same text', '0')
    .option('--profile', 'run operations one by one, say what each takes, and write a trace')
    .option('--out <folder>', 'where the files of --profile go', profileFolder)
    .option('--json', 'print text and figures as JSON instead')
    .addHelpText(
      'after',
      `
Examples:
  sightline generate --prompt 'def fibonacci(n):' --max-new-tokens 40
  sightline generate --prompt @src/app.ts --cache selective --tier int4
  sightline generate --prompt @notes.txt --temperature 0.8 --seed 7 --json
  sightline generate --prompt @src/app.ts --profile`,
    )
    .action(async (options: OwnOptions & SettingOptions) => {
      process.exitCode = await run(command, options);
    });
}

async function run(command: Command, options: OwnOptions & SettingOptions): Promise<number> {
  const settings = settingsOf(command, options);
  const sampling = samplingOf(command, options);
  const prompt = await promptOf(options.prompt);
  if (prompt === undefined) return exitCodes.fileUnreadable;
  const usualEngine = engineOptionsOf(settings, bundledModelPath());
  const engine = options.profile ? { ...usualEngine, profile: 'operations' as const } : usualEngine;
  let written: number = exitCodes.done;
  const code = await withModel(engine, async (model, signal) => {
    const { native, tokenizer } = model;
    const tokens = joinTokens([startOf(native.info), await tokenizer.tokenize(prompt)]);
    const { maxTokens } = settings.completion;
    const start = performance.now();
    let firstToken: number | undefined;
    const job = native.complete(
      { tokens, maxTokens, sampling, stopTokens: new Int32Array() },
      (event) => {
        if (event.kind !== 'text') return;
        firstToken ??= (performance.now() - start) / 1000;
        if (!options.json) process.stdout.write(event.text);
      },
    );
    const result = await runJob(job, signal);
    const profile = options.profile ? await native.takeProfile() : undefined;
    const report =
      profile &&
      reportOf(native.info, engine.cache, tokens.length, {
        profile,
        generatedTokens: result.tokens.length,
        isWhole: true,
      });
    const figures: Generated = {
      model: native.info.name,
      text: result.text,
      finish: result.finish,
      promptTokens: tokens.length,
      generatedTokens: result.tokens.length,
      seconds: {
        load: native.info.loadSeconds,
        firstToken: firstToken ?? result.prefillSeconds,
        prefill: result.prefillSeconds,
        decode: result.decodeSeconds,
      },
      tokensPerSecond: {
        prefill: rate(result.prefilledTokens, result.prefillSeconds),
        decode: rate(result.tokens.length, result.decodeSeconds),
      },
      memory: memoryOf(cacheStats(model, settings.cache.policy, {})),
      ...(report === undefined ? {} : { profile: report }),
    };
    if (options.json) {
      process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
    } else {
      process.stdout.write('\n');
      process.stderr.write(`${formatFigures(figures)}\n`);
    }
    if (profile !== undefined && report !== undefined)
      written = await writeProfile(native.info, engine, profile, report, options.out);
    return succeed(undefined);
  });
  return code === exitCodes.done ? written : code;
}

function formatFigures(figures: Generated): string {
  const { seconds, tokensPerSecond, memory, profile, ...tokens } = figures;
  return [
    `tokens   prompt ${count(tokens.promptTokens)}, generated ${count(tokens.generatedTokens)}`,
    `time     first token ${seconds.firstToken.toFixed(2)} s, prefill ${seconds.prefill.toFixed(2)} s${speed(tokensPerSecond.prefill)}, decode ${seconds.decode.toFixed(2)} s${speed(tokensPerSecond.decode)}`,
    ...memoryLines(memory),
    ...(profile === undefined
      ? []
      : ['', 'Operations ran one by one: without --profile it is faster.', formatProfile(profile)]),
  ].join('\n');
}

// Every message goes on after "must be".
const share = 'a number from 0 to 1';
const samplings = {
  temperature: z.coerce.number('a number').min(0, 'at least 0').max(5, 'at most 5'),
  topK: z.coerce.number('a number').pipe(z.int('a whole number').min(0, 'at least 0')),
  topP: z.coerce.number(share).min(0, share).max(1, share),
  minP: z.coerce.number(share).min(0, share).max(1, share),
  seed: z.coerce.number('a number').pipe(z.uint32('a whole number from 0 to 4294967295')),
};

function samplingOf(command: Command, options: OwnOptions): Sampling {
  const read = <T>(option: string, schema: z.ZodType<T>, text: string): T => {
    const parsed = schema.safeParse(text.trim() === '' ? Number.NaN : text);
    if (parsed.success) return parsed.data;
    const reason = parsed.error.issues[0]?.message ?? '';
    return wrongUsage(command, `${option} must be ${reason}, not ${JSON.stringify(text)}`);
  };
  return {
    temperature: read('--temperature', samplings.temperature, options.temperature),
    topK: read('--top-k', samplings.topK, options.topK),
    topP: read('--top-p', samplings.topP, options.topP),
    minP: read('--min-p', samplings.minP, options.minP),
    seed: read('--seed', samplings.seed, options.seed),
  };
}
