import { randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { bundledModelPath } from '../engine/load.ts';
import { engineOptionsOf } from '../engineOptions.ts';
import { exitCodes } from '../exit.ts';
import { succeed } from '../result.ts';
import { ApiServer } from '../serve/server.ts';
import { serveStdio } from '../stdio.ts';
import { withModel } from './model.ts';
import {
  addSettingOptions,
  settingsGiven,
  settingsOf,
  wrongUsage,
  type SettingOptions,
} from './options.ts';
import { say } from './output.ts';
import { readText } from './text.ts';

type Options = SettingOptions & {
  readonly lsp?: true;
  readonly openai?: string;
  readonly tokenFile?: string;
};

/** Serves until the editor ends it, or an interrupt. */
export function serveCommand(version: string): Command {
  const command = new Command('serve')
    .description('Serve any editor (--lsp), or other tools on this machine (--openai).')
    .option('--lsp', 'a language server on stdin and stdout')
    .option(
      '--openai <port>',
      "an HTTP server on 127.0.0.1 with the interface of OpenAI's; 0: a port that is free",
    )
    .option(
      '--token-file <file>',
      'with --openai: what clients have to know; else SIGHTLINE_TOKEN, else a new one that is printed',
    );
  return addSettingOptions(command)
    .option('--max-new-tokens <count>', 'with --lsp: the longest completion (64)')
    .addHelpText(
      'after',
      `
What an editor sends as settings goes before these options.

Examples:
  sightline serve --lsp
  sightline serve --lsp --model ~/models/coder.gguf --max-new-tokens 128
  sightline serve --openai 8012 --token-file ~/.sightline-token
  SIGHTLINE_TOKEN=secret sightline serve --openai 0 --cache selective --tier int4`,
    )
    .action(async (options: Options) => {
      await run(command, options, version);
    });
}

async function run(command: Command, options: Options, version: string): Promise<void> {
  const settings = settingsOf(command, options);
  if ((options.lsp === undefined) === (options.openai === undefined)) {
    wrongUsage(
      command,
      `say who is served, with ${options.lsp ? 'only one of them' : 'one of them'}: --lsp for an editor, --openai PORT for other tools`,
    );
  }
  if (options.openai === undefined) {
    if (options.tokenFile !== undefined)
      wrongUsage(command, '--token-file goes with --openai: an editor needs no token');
    serveStdio(version, settingsGiven(command, options));
    return;
  }
  if (options.maxNewTokens !== undefined)
    wrongUsage(command, '--max-new-tokens goes with --lsp: other tools say it with each request');
  const port = Number(options.openai);
  if (!/^\d+$/.test(options.openai) || port > 65535) {
    wrongUsage(
      command,
      `--openai must be a port from 0 to 65535, not ${JSON.stringify(options.openai)}`,
    );
  }
  const token = await tokenOf(command, options.tokenFile);
  if (token === undefined) {
    process.exitCode = exitCodes.fileUnreadable;
    return;
  }
  process.exitCode = await withModel(
    engineOptionsOf(settings, bundledModelPath()),
    async (model, signal) => {
      const started = await ApiServer.start({
        ...{ model, token, port },
        onAnswered: say,
      });
      if (!started.ok) return wrongUsage(command, started.error);
      const server = started.value;
      process.stdout.write(`${server.url}\n`);
      say(`serving ${server.modelId}; Ctrl-C ends it`);
      await stopped(signal);
      await server.close();
      return succeed(undefined);
    },
  );
}

/** The token of the file, or else of the environment, or else a new one. Undefined: the file cannot be read, which was said. */
async function tokenOf(command: Command, file: string | undefined): Promise<string | undefined> {
  const { SIGHTLINE_TOKEN: given } = process.env;
  if (file === undefined && given === undefined) {
    const token = randomBytes(24).toString('base64url');
    say(`the token is ${token}`);
    return token;
  }
  const read = file === undefined ? succeed(given ?? '') : await readText(file);
  if (!read.ok) {
    say(read.error);
    return undefined;
  }
  const token = read.value.trim();
  return /^[!-~]+$/.test(token)
    ? token
    : wrongUsage(
        command,
        `${file ?? 'SIGHTLINE_TOKEN'} must hold a token: letters, digits and signs of ASCII, without spaces`,
      );
}

/** Resolves when the process is told to end. */
function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      resolve();
    };
    process.once('SIGTERM', stop);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}
