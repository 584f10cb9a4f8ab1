import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { cacheFolder } from '../cacheFolder.ts';
import { complete } from '../completion/complete.ts';
import { Engine, type LoadedModel } from '../engine/engine.ts';
import { describeFailure, type Failure } from '../engine/failure.ts';
import { bundledModelPath, grammarsFolder, loadAddon } from '../engine/load.ts';
import { SelfChecks } from '../engine/selfChecks.ts';
import { exitCodes } from '../exit.ts';
import { fail, succeed, type Result } from '../result.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { cacheStats, completionStats } from '../stats.ts';
import { Grammars } from '../syntax/parser.ts';
import { parseCommandLine, usage, type Target } from './arguments.ts';
import { formatReport, reportOf } from './report.ts';

const say = (line: string): void => {
  process.stderr.write(`sightline: ${line}\n`);
};

/**
 * Completes a file in the terminal: the completion and the report go to stdout, progress and errors to
 * stderr. Resolves to the exit code. An interrupt (Ctrl-C) ends it within one decode step.
 */
export async function completeCommand(args: readonly string[]): Promise<number> {
  const parsed = parseCommandLine(args);
  if (!parsed.ok) {
    say(parsed.error);
    process.stderr.write(`\n${usage}`);
    return exitCodes.usage;
  }
  if (parsed.value === 'help') {
    process.stdout.write(usage);
    return exitCodes.done;
  }
  const { target, settings, json } = parsed.value;

  const text = await readText(target.file);
  if (!text.ok) {
    say(text.error);
    return exitCodes.fileUnreadable;
  }
  const offset = offsetOf(text.value, target);
  if (!offset.ok) {
    say(offset.error);
    return exitCodes.usage;
  }

  const abort = new AbortController();
  const interrupt = (): void => {
    abort.abort();
  };
  process.once('SIGINT', interrupt);
  const options = engineOptionsOf(settings, bundledModelPath());
  const selfChecks = new SelfChecks(cacheFolder());
  const engine = new Engine(() => loadAddon(), options, loadProgress, selfChecks);
  try {
    say(`loading ${options.modelPath}`);
    const model = await engine.model(abort.signal);
    if (!model.ok) return engineFailed(model.error);
    const request = {
      uri: pathToFileURL(resolve(target.file)).href,
      name: basename(target.file),
      text: text.value,
      offset: offset.value,
      maxTokens: settings.completion.maxTokens,
      grammars: new Grammars(grammarsFolder(), say),
    };
    const outcome = await complete(model.value, request, abort.signal, (event) => {
      if (event.kind === 'text' && !json) process.stdout.write(event.text);
    });
    if (!outcome.ok) return engineFailed(outcome.error);
    const latest = completionStats(outcome.value);
    const stats = cacheStats(model.value, settings.cache.policy, latest);
    const report = reportOf(target, model.value.native.info, outcome.value, stats);
    if (json) {
      process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    } else {
      process.stdout.write(`\n\n${formatReport(report)}\n`);
    }
    return exitCodes.done;
  } finally {
    process.off('SIGINT', interrupt);
    await engine.close();
  }
}

/** Follows the load on stderr; a terminal sees the percentage run. */
const loadProgress = {
  progress(fraction: number, { modelPath }: { readonly modelPath: string }): void {
    if (!process.stderr.isTTY) return;
    const percentage = `${Math.floor(fraction * 100)} %`.padStart(5);
    process.stderr.write(`\rsightline: loading ${basename(modelPath)} ${percentage}`);
  },
  loaded({ native }: LoadedModel): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
    say(`${native.info.name} loaded in ${native.info.loadSeconds.toFixed(2)} s`);
    if (native.info.gpuReason !== undefined) say(`on the CPU: ${native.info.gpuReason}`);
  },
  failed(): void {
    if (process.stderr.isTTY) process.stderr.write('\n');
  },
};

function engineFailed(failure: Failure): number {
  if (failure.code === 'ABORTED') {
    say('interrupted');
    return exitCodes.interrupted;
  }
  say(describeFailure(failure));
  return exitCodes.engineFailed;
}

async function readText(file: string): Promise<Result<string, string>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const text = new TextDecoder().decode(bytes);
  if (!Buffer.from(text).equals(bytes) && text.includes('\uFFFD')) {
    say(`${file} is not valid UTF-8; what is not stands as U+FFFD`);
  }
  return succeed(text);
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
