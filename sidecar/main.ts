/** What an editor starts: `--stdio`. The command line is a program of its own (cli/main.ts), which no editor has to wait for. */
import { exitCodes } from './exit.ts';
import { serveStdio, writeLine } from './stdio.ts';
import { version } from './version.ts';

if (process.argv[2] === '--stdio') {
  serveStdio(version());
} else {
  writeLine('usage: sidecar --stdio; everything else is done by sightline, beside it');
  process.exitCode = exitCodes.usage;
}
