import { Command, CommanderError } from 'commander';
import { exitCodes } from '../exit.ts';
import { completeCommand } from './complete.ts';
import { evalCommand } from './eval.ts';
import { fitCommand } from './fit.ts';
import { generateCommand } from './generate.ts';
import { profileCommand } from './profile.ts';
import { serveCommand } from './serve.ts';

/** The command line `sightline`. A command sets the exit code of the process; one that is used wrongly ends with `usage`. */
export async function runCommandLine(args: readonly string[], version: string): Promise<void> {
  const program = new Command('sightline')
    .description('Local code models with a selectively quantised KV cache, without an editor.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help lists the options)')
    .configureOutput({
      outputError: (text, write) => {
        write(`sightline: ${text.replace(/^error: /, '')}`);
      },
    });
  const commands = [
    completeCommand(),
    generateCommand(),
    serveCommand(version),
    evalCommand(),
    fitCommand(),
    profileCommand(),
  ];
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  program.hook('preAction', (_, command) => {
    // Whoever read the output has left, as `head` does. What is served has an end of its own.
    if (command.name() !== 'serve')
      process.stdout.once('error', () => process.exit(exitCodes.interrupted));
  });
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
}
