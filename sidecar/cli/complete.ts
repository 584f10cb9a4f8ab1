import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { complete } from '../completion/complete.ts';
import { bundledModelPath, grammarsFolder } from '../engine/load.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { exitCodes } from '../exit.ts';
import { fail, succeed, type Result } from '../result.ts';
import { cacheStats, completionStats } from '../stats.ts';
import { Grammars } from '../syntax/parser.ts';
import { withModel } from './model.ts';
import {
  addCacheOptions,
  addDeviceOptions,
  addModelOptions,
  settingsOf,
  wrongUsage,
  type SettingOptions,
} from './options.ts';
import { say } from './output.ts';
import { formatReport, reportOf } from './report.ts';
import { parseTarget, type Target } from './target.ts';
import { readText } from './text.ts';

type Options = SettingOptions & { readonly json?: true };

/** The completion and the report go to stdout. */
export function completeCommand(): Command {
  const command = new Command('complete')
    .description(
      'Complete a file at the end of LINE, or before COLUMN (both count from 1), with the whole file as context.',
    )
    .argument('<file:line[:column]>', 'where to complete');
  addModelOptions(command);
  addCacheOptions(command);
  addDeviceOptions(command);
  return command
    .option('--max-new-tokens <count>', 'most tokens to generate (64)')
    .option('--json', 'print the report as JSON, with the completion in it')
    .addHelpText(
      'after',
      `
Examples:
  sightline complete src/app.ts:120
  sightline complete src/app.ts:120:17 --cache selective --tier int4 --json`,
    )
    .action(async (place: string, options: Options) => {
      process.exitCode = await run(command, place, options);
    });
}

async function run(command: Command, place: string, options: Options): Promise<number> {
  const settings = settingsOf(command, options);
  const target = parseTarget(place);
  if (target === undefined)
    return wrongUsage(command, `${place} is not FILE:LINE or FILE:LINE:COLUMN, with counts from 1`);
  const text = await readText(target.file);
  if (!text.ok) {
    say(text.error);
    return exitCodes.fileUnreadable;
  }
  const offset = offsetOf(text.value, target);
  if (!offset.ok) return wrongUsage(command, offset.error);
  const request = {
    uri: pathToFileURL(resolve(target.file)).href,
    name: basename(target.file),
    text: text.value,
    offset: offset.value,
    maxTokens: settings.completion.maxTokens,
    grammars: new Grammars(grammarsFolder(), say),
  };
  return withModel(engineOptionsOf(settings, bundledModelPath()), async (model, signal) => {
    const outcome = await complete(model, request, signal, (event) => {
      if (event.kind === 'text' && !options.json) process.stdout.write(event.text);
    });
    if (!outcome.ok) return outcome;
    const latest = completionStats(outcome.value);
    const stats = cacheStats(model, settings.cache.policy, latest);
    const report = reportOf(target, model.native.info, outcome.value, stats);
    process.stdout.write(
      options.json ? `${JSON.stringify(report, null, 2)}\n` : `\n\n${formatReport(report)}\n`,
    );
    return succeed(undefined);
  });
}

function offsetOf(text: string, { file, line, column }: Target): Result<number, string> {
  const document = TextDocument.create(file, '', 0, text);
  if (line > document.lineCount) {
    return fail(`${file} has ${document.lineCount} lines; there is no line ${line}`);
  }
  const end = document.offsetAt({ line: line - 1, character: Number.MAX_SAFE_INTEGER });
  if (column === undefined) return succeed(end);
  const start = document.offsetAt({ line: line - 1, character: 0 });
  if (column > end - start + 1) {
    return fail(`line ${line} of ${file} ends at column ${end - start + 1}`);
  }
  return succeed(start + column - 1);
}
