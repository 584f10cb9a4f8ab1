import { Command } from 'commander';
import { z } from 'zod';
import type { CompleteEvent, ModelInfo, ProfiledStep } from '../engine/addon.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { cancelled } from '../engine/failure.ts';
import { bundledModelPath } from '../engine/load.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { exitCodes } from '../exit.ts';
import { count } from '../figures.ts';
import { promptTokens, sampleSource } from '../profile/prompt.ts';
import { reportOf } from '../profile/report.ts';
import { runPass, type Pass } from '../profile/run.ts';
import { fail, succeed } from '../result.ts';
import { withModel } from './model.ts';
import { addSettingOptions, settingsOf, wrongUsage, type SettingOptions } from './options.ts';
import { say } from './output.ts';
import { profileFolder, profileJson, writeProfile } from './profileFiles.ts';
import { formatProfile } from './profileTable.ts';
import { promptOf } from './text.ts';

interface OwnOptions {
  readonly prompt?: string;
  readonly tokens?: string;
  readonly out: string;
  readonly json?: true;
}

/** Of a prompt that is not given. */
const sampleTokens = 1024;

/** The tables go to stdout, the trace and what programs read into files. */
export function profileCommand(): Command {
  const command = new Command('profile')
    .description(
      'Say what each operation and kernel takes in prefill and decode, and how the cache grows: as tables, and as a trace for Perfetto or chrome://tracing.',
    )
    .option('--prompt <text>', 'the text, or @FILE: what a file says; source code by default')
    .option(
      '--tokens <count>',
      `tokens of the prompt: the text is repeated or cut (all of it, or ${sampleTokens} without --prompt)`,
    );
  return addSettingOptions(command)
    .option('--max-new-tokens <count>', 'most tokens to generate (64)')
    .option('--out <folder>', 'where the files go', profileFolder)
    .option('--json', 'print what programs read instead of tables')
    .addHelpText(
      'after',
      `
The prompt is evaluated twice: with the operations one by one, and as it is otherwise, for what that costs.

Examples:
  sightline profile
  sightline profile --prompt @src/app.ts --max-new-tokens 32 --cache selective --tier int4
  sightline profile --tokens 8192 --cache full --device cpu --out /tmp/profiles`,
    )
    .action(async (options: OwnOptions & SettingOptions) => {
      process.exitCode = await run(command, options);
    });
}

async function run(command: Command, options: OwnOptions & SettingOptions): Promise<number> {
  const settings = settingsOf(command, options);
  const wanted = tokensOf(command, options);
  const text = options.prompt === undefined ? sampleSource : await promptOf(options.prompt);
  if (text === undefined) return exitCodes.fileUnreadable;
  if (text === '') return wrongUsage(command, '--prompt must be a text, or a file with one');
  const engine = engineOptionsOf(settings, bundledModelPath());
  const { maxTokens } = settings.completion;

  const passes: Measured[] = [];
  const measure = (profile: 'steps' | 'operations'): Promise<number> =>
    withModel({ ...engine, profile }, async (model, signal) => {
      const tokens = await promptTokens(model.native.info, model.tokenizer, text, wanted);
      const follow = progressOf(profile, tokens.length, maxTokens);
      const pass = await runPass(model.native, tokens, maxTokens, signal, follow.event);
      follow.end();
      passes.push({ info: model.native.info, tokens: tokens.length, pass });
      return pass.isWhole ? succeed(undefined) : fail(cancelled);
    });
  let code = await measure('operations');
  if (code === exitCodes.done) code = await measure('steps');

  const [measured, plain] = passes;
  if (measured === undefined || measured.pass.profile.steps.length === 0) return code;
  const written = await tell(measured, plain?.pass.profile.steps ?? [], engine, options);
  return code === exitCodes.done ? written : code;
}

interface Measured {
  readonly info: ModelInfo;
  readonly tokens: number;
  readonly pass: Pass;
}

/** Prints first: whatever becomes of the files, nothing is lost. */
async function tell(
  { info, tokens, pass }: Measured,
  unprofiled: readonly ProfiledStep[],
  engine: EngineOptions,
  options: OwnOptions,
): Promise<number> {
  const report = reportOf(info, engine.cache, tokens, pass, unprofiled);
  process.stdout.write(options.json ? profileJson(report) : `${formatProfile(report)}\n`);
  if (!pass.isWhole)
    say(`what was measured by then: ${count(pass.profile.steps.length)} whole steps`);
  return writeProfile(info, engine, pass.profile, report, options.out);
}

/** Follows a pass on stderr, batch by batch; a terminal sees the tokens run. */
function progressOf(
  profile: 'steps' | 'operations',
  prompt: number,
  most: number,
): { readonly event: (event: CompleteEvent) => void; readonly end: () => void } {
  const how = profile === 'operations' ? 'operations one by one' : 'without a profile';
  say(`${how}: ${count(prompt)} tokens of prompt, at most ${count(most)} new ones`);
  const { isTTY } = process.stderr;
  let pieces = 0;
  return {
    event: (event) => {
      if (event.kind === 'text') {
        if (isTTY) overwrite(`decode ${count(++pieces)} of ${count(most)}`);
        return;
      }
      const line = `prefill ${count(event.done)} of ${count(event.total)}`;
      if (isTTY) overwrite(line);
      else say(line);
    },
    end: () => {
      if (isTTY) process.stderr.write('\n');
    },
  };
}

const overwrite = (line: string): void => {
  process.stderr.write(`\rsightline: ${line.padEnd(40)}`);
};

function tokensOf(command: Command, { tokens, prompt }: OwnOptions): number | undefined {
  if (tokens === undefined) return prompt === undefined ? sampleTokens : undefined;
  const parsed = z.coerce.number().pipe(z.int().min(1)).safeParse(tokens);
  if (parsed.success) return parsed.data;
  return wrongUsage(
    command,
    `--tokens must be a whole number of at least 1, not ${JSON.stringify(tokens)}`,
  );
}
