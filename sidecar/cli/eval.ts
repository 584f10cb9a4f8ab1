import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import { basename, join } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { z } from 'zod';
import type { EngineOptions, LoadedModel } from '../engine/engine.ts';
import { failureOf, type Failure } from '../engine/failure.ts';
import { bundledModelPath, grammarsFolder } from '../engine/load.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { chunksOf, corpusTokens, readCorpus, type Corpus } from '../evaluation/corpus.ts';
import { planOf, type Scope, type Step } from '../evaluation/plan.ts';
import { htmlReport } from '../evaluation/report/html.ts';
import { reportOf, type About, type Report } from '../evaluation/report/report.ts';
import { csvOf, markdownTable, shortColumns } from '../evaluation/report/table.ts';
import { tasks, type EvaluationResult } from '../evaluation/results.ts';
import { Store } from '../evaluation/store.ts';
import { reference, strategiesOf, usualStrategies, type Edges } from '../evaluation/strategies.ts';
import { exitCodes } from '../exit.ts';
import { fail, succeed, type Result } from '../result.ts';
import { Grammars } from '../syntax/parser.ts';
import { writeWhole } from '../wholeFile.ts';
import { writingFailed } from './files.ts';
import { withModel } from './model.ts';
import { addDeviceOptions, settingsOf, wrongUsage, type SettingOptions } from './options.ts';
import { count } from '../figures.ts';
import { say } from './output.ts';

interface Options extends SettingOptions {
  readonly corpus: readonly string[];
  readonly caches: string;
  readonly contexts: string;
  readonly tasks: string;
  readonly chunks: string;
  readonly rounds: string;
  readonly holes: string;
  readonly out?: string;
  readonly fresh?: true;
}

/** The table goes to stdout; the report, as JSON, CSV and a page, into a folder. */
export function evalCommand(): Command {
  const command = new Command('eval')
    .description(
      'Measure what caches cost a model on your own files, beside the FP16 cache in the same run: predictions, continuations, retrieval, completions, speed and memory.',
    )
    .requiredOption('--corpus <path...>', 'source files, or folders of them')
    .option('--model <file>', 'GGUF model; the bundled one by default')
    .option(
      '--caches <names>',
      'policies, with a tier where they take one, and a window where it is to be another',
      usualStrategies.join(','),
    )
    .option('--contexts <tokens>', 'lengths of context', '2048,4096,8192')
    .option('--tasks <names>', 'what to measure', tasks.join(','))
    .option('--chunks <count>', 'texts of each length', '8')
    .option('--rounds <count>', 'texts in which needles are hidden, of each length', '2')
    .option('--holes <count>', 'holes of each kind that are to be completed', '20')
    .option('--sink-size <tokens>', 'first tokens that stay FP16 (16)')
    .option(
      '--window-size <tokens>',
      'most recent tokens that stay FP16; 0: 256 with 8 bits, 896 below (0)',
    )
    .option('--keep <share>', 'share of older tokens that h2o and importance keep (0.5)');
  addDeviceOptions(command);
  return command
    .option('--out <folder>', 'where the report and what was measured goes (outputs/eval-MODEL)')
    .option('--fresh', 'begin anew where a former run left results')
    .addHelpText(
      'after',
      `
What was measured is kept as it comes: after Ctrl-C the same command goes on.

Examples:
  sightline eval --corpus src
  sightline eval --model qwen2.5-coder-1.5b-q8_0.gguf --corpus src --caches selective:int8,selective:int4 --contexts 8192,32768
  sightline eval --corpus src lib/index.js --tasks predictions,speed --chunks 2`,
    )
    .action(async (options: Options) => {
      process.exitCode = await run(command, options).catch((error: unknown) => {
        const reason = writingFailed(error);
        if (reason === undefined) throw error;
        say(reason);
        return exitCodes.notWritten;
      });
    });
}

async function run(command: Command, options: Options): Promise<number> {
  const settings = settingsOf(command, options);
  const { sink, window, keep } = settings.cache;
  const edges: Edges = { sink, ...(window === 0 ? {} : { window }), keep };
  const strategies = strategiesOf(options.caches.split(','), edges);
  if (!strategies.ok) return wrongUsage(command, strategies.error);
  const contexts = listOf(command, '--contexts', options.contexts, 1024);
  const wanted = options.tasks.split(',').map((name) => name.trim());
  const unknown = wanted.find((name) => !tasks.some((task) => task === name));
  if (unknown !== undefined)
    wrongUsage(
      command,
      `there is no task ${JSON.stringify(unknown)}; there are ${tasks.join(', ')}`,
    );
  const corpus = await readCorpus(options.corpus);
  if (!corpus.ok) {
    say(corpus.error);
    return exitCodes.fileUnreadable;
  }
  const scope: Scope = {
    tasks: tasks.filter((task) => wanted.includes(task)),
    strategies: strategies.value,
    contexts,
    chunks: countOf(command, '--chunks', options.chunks),
    rounds: countOf(command, '--rounds', options.rounds),
    holes: countOf(command, '--holes', options.holes),
  };
  const engineOptions: EngineOptions = {
    ...engineOptionsOf(settings, bundledModelPath()),
    contextTokens: Math.max(...contexts),
    cache: reference.cache,
    cacheBudgetBytes: 0,
    selfCheck: false,
  };
  const out = options.out ?? join('outputs', `eval-${basename(engineOptions.modelPath, '.gguf')}`);
  return withModel(engineOptions, (model, signal) =>
    evaluate(model, corpus.value, scope, edges, out, options.fresh === true, signal),
  );
}

async function evaluate(
  model: LoadedModel,
  corpus: Corpus,
  scope: Scope,
  edges: Edges,
  out: string,
  fresh: boolean,
  signal: AbortSignal,
): Promise<Result<void, Failure>> {
  const { info } = model.native;
  const longest = Math.max(...scope.contexts);
  const text = await corpusTokens(model, corpus, longest * Math.max(scope.chunks, scope.rounds));
  if (chunksOf(model, text, longest) === 0)
    return fail({
      code: 'BAD_ARGUMENT',
      message: `The corpus has ${count(text.length)} tokens, and a context of ${count(longest)} was asked for. Name more files with --corpus, or shorter --contexts.`,
    });
  const store = await Store.open(
    join(out, 'results.jsonl'),
    {
      model: `${info.name} (${basename(model.options.modelPath)})`,
      modelBytes: info.fileBytes,
      corpus: corpus.sha256,
      edges: JSON.stringify(edges),
    },
    fresh,
  );
  if (!store.ok) return fail({ code: 'BAD_ARGUMENT', message: `${store.error}.` });
  const grammars = new Grammars(grammarsFolder(), say);
  const steps = planOf(model, corpus, text, scope, grammars);
  const refused = new Map<string, string>();
  await measure(steps, store.value, refused, signal);
  const results = steps.flatMap(({ key }) => store.value.get(key) ?? []);
  const facts: About = {
    format: 1,
    command: ['sightline', ...process.argv.slice(2)].join(' '),
    when: new Date().toISOString(),
    complete: results.length === steps.filter(({ cache }) => !refused.has(cache)).length,
    model: {
      name: info.name,
      file: basename(model.options.modelPath),
      architecture: info.architecture,
      parameters: info.parameters,
      trainedTokens: info.trainedTokens,
    },
    machine: {
      cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
      gpu: info.gpu?.name ?? null,
      threads: info.threads,
      kernels: info.kernels,
    },
    corpus: {
      sha256: corpus.sha256,
      files: corpus.files.length,
      tokens: text.length,
      sources: [...corpus.sources],
    },
    memory: await memoryOf(model, longest),
    refused: [...refused].map(([cache, reason]) => ({ cache, reason })),
  };
  const report = reportOf(facts, results);
  if (results.length > 0) await write(out, report);
  if (signal.aborted) {
    say(
      `${results.length} of ${steps.length} measurements are in ${out}; the same command goes on`,
    );
    signal.throwIfAborted();
  }
  for (const context of scope.contexts) {
    const rows = report.rows.filter((row) => row.context === context);
    process.stdout.write(
      `${context} tokens of context\n\n${markdownTable(rows, shortColumns)}\n\n`,
    );
  }
  for (const { claim, cache, context, verdict } of report.verdicts)
    process.stdout.write(`${verdict.padEnd(8)}${claim} (${cache}, ${context} tokens)\n`);
  say(`the report is in ${join(out, 'report.html')}`);
  return succeed(undefined);
}

/** Runs what is not there yet, until the signal fires. Caches that cannot be had are left out, with the reason. */
async function measure(
  steps: readonly Step[],
  store: Store,
  refused: Map<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const open = steps.filter(({ key }) => store.get(key) === undefined);
  const bar = new SingleBar(
    {
      format: 'sightline: {bar} {percentage} % | {eta_formatted} left | {key}',
      stream: process.stderr,
      noTTYOutput: true,
      notTTYSchedule: 30_000,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  const total = open.reduce((all, { tokens }) => all + tokens, 0);
  if (open.length < steps.length)
    say(`${steps.length - open.length} of ${steps.length} measurements are there already`);
  bar.start(total, 0, { key: '' });
  try {
    for (const step of open) {
      const { key, cache, tokens } = step;
      if (refused.has(cache)) continue;
      bar.update({ key });
      try {
        const result: EvaluationResult = await step.run(signal, (other) => store.get(other));
        await store.add(result);
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = failureOf(error);
        if (!['MODEL_UNSUPPORTED', 'GPU_UNAVAILABLE', 'CACHE_EXHAUSTED'].includes(code))
          throw error;
        refused.set(cache, message);
      }
      bar.increment(tokens);
    }
  } finally {
    bar.stop();
  }
}

/** For the policies whose bytes the engine tells without any tokens. */
async function memoryOf({ native }: LoadedModel, longest: number): Promise<About['memory']> {
  await native.beginSequence(0, reference.cache);
  const tokens = Array.from({ length: 33 }, (_, part) => Math.round((longest * part) / 32));
  const policies = native
    .forecast(Int32Array.from(tokens))
    .map(({ policy, bytes }) => ({ policy, bytes: [...bytes] }));
  return { tokens, policies };
}

async function write(out: string, report: Report): Promise<void> {
  await mkdir(out, { recursive: true });
  await writeWhole(join(out, 'report.json'), `${JSON.stringify(report, null, 1)}\n`);
  await writeWhole(join(out, 'report.csv'), csvOf(report.rows));
  await writeWhole(join(out, 'report.html'), htmlReport(report));
}

const positive = z.coerce.number().pipe(z.int().min(1));

function countOf(command: Command, option: string, text: string): number {
  const parsed = positive.safeParse(text);
  return parsed.success
    ? parsed.data
    : wrongUsage(
        command,
        `${option} must be a whole number of at least 1, not ${JSON.stringify(text)}`,
      );
}

function listOf(command: Command, option: string, text: string, least: number): number[] {
  const numbers = text.split(',').map(Number);
  if (numbers.every((number) => Number.isInteger(number) && number >= least))
    return [...new Set(numbers)].sort((a, b) => a - b);
  return wrongUsage(
    command,
    `${option} must be whole numbers of at least ${least} with commas between them, not ${JSON.stringify(text)}`,
  );
}
