import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { completeCommand } from './cli/complete.ts';
import { extensionRoot } from './engine/load.ts';
import { exitCodes } from './exit.ts';
import { serveStdio, writeLine } from './stdio.ts';

const usage = `Usage:
  sidecar --stdio                                     serve LSP on stdin and stdout
  sidecar complete FILE:LINE[:COLUMN] [options]       complete a file in the terminal; --help lists the options
  sidecar --version`;

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(extensionRoot(), 'package.json'), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}

const [command, ...rest] = process.argv.slice(2);
if (command === '--stdio') {
  serveStdio(version());
} else if (command === 'complete') {
  // Whoever read the output has left, as `head` does.
  process.stdout.once('error', () => process.exit(exitCodes.interrupted));
  process.exitCode = await completeCommand(rest);
} else if (command === '--version') {
  process.stdout.write(`${version()}\n`);
} else if (command === '--help') {
  process.stdout.write(`${usage}\n`);
} else {
  writeLine(command === undefined ? 'nothing to do' : `unknown command ${command}`);
  process.stderr.write(`${usage}\n`);
  process.exitCode = exitCodes.usage;
}
