#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { extensionRoot } from './engine/load.ts';
import { serveStdio } from './stdio.ts';

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(join(extensionRoot(), 'package.json'), 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : 'unknown';
}

const args = process.argv.slice(2);
if (args[0] === '--stdio') {
  serveStdio(version());
} else {
  // An editor is not to wait for what only the command line needs.
  const { runCommandLine } = await import('./cli/program.ts');
  await runCommandLine(args, version());
}
