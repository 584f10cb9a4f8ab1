#!/usr/bin/env node
import { version } from '../version.ts';
import { runCommandLine } from './program.ts';

await runCommandLine(process.argv.slice(2), version());
