import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { LspClient } from '../unit/support/lspClient.ts';

export const root = join(import.meta.dirname, '..', '..');
export const bundle = join(root, 'dist', 'sidecar.mjs');
export const bundledModel = join(root, 'media', 'models', 'sightline-tiny-code-q8_0.gguf');

for (const path of [bundle, join(root, 'dist', 'native', 'sightline.node')]) {
  if (!existsSync(path)) throw new Error(`${path} is missing; run "npm run build" first`);
}

/** The user's own cache folder stays out of it, and every run starts without one. */
export const cacheHome = mkdtempSync(join(tmpdir(), 'sightline-'));
const env = { ...process.env, XDG_CACHE_HOME: cacheHome };

/** One thread: more of them wait for each other on a busy machine. */
export const settings = { threads: 1, completion: { maxTokens: 24 } };

export interface Sidecar {
  readonly process: ChildProcessWithoutNullStreams;
  readonly client: LspClient;
  /** Exit code or signal, once everything it wrote has arrived. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  stderr(): string;
}

/** What a failed test may leave running would keep the test run from ending. */
const started: ChildProcessWithoutNullStreams[] = [];
after(() => {
  for (const child of started) child.kill('SIGKILL');
  rmSync(cacheHome, { recursive: true, maxRetries: 5 });
});

/** A sidecar as an editor runs it, on raw stdio. */
export function startSidecar(program = bundle, args: readonly string[] = ['--stdio']): Sidecar {
  const child = spawn(process.execPath, [program, ...args], { cwd: root, env });
  started.push(child);
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  // Writing to a sidecar that has ended is what some tests are about.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? signal);
    });
  });
  return {
    process: child,
    client: new LspClient(child.stdout, child.stdin),
    ended,
    stderr: () => stderr,
  };
}

/** Ends a sidecar as LSP wants it; resolves to how it ended. */
export async function stopSidecar({ client, ended }: Sidecar): Promise<number | string | null> {
  await client.connection.sendRequest('shutdown');
  await client.connection.sendNotification('exit');
  return ended;
}

export interface Run {
  readonly code: number | NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the sidecar's command line; `onStart` gets the process once it has written to stderr. */
export async function runCommand(
  args: readonly string[],
  onStart: (child: ChildProcessWithoutNullStreams) => void = () => undefined,
  moreEnv: NodeJS.ProcessEnv = {},
): Promise<Run> {
  const child = spawn(process.execPath, [bundle, ...args], {
    cwd: root,
    env: { ...env, ...moreEnv },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stderr.once('data', () => {
    onStart(child);
  });
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ code: code ?? signal, stdout, stderr });
    });
  });
}

/** TypeScript that is long, plain and the same everywhere. */
export const source = (functions: number): string =>
  Array.from(
    { length: functions },
    (_, i) =>
      `/** Adds ${i} to a number. */\nexport function add${i}(value: number): number {\n  return value + ${i};\n}\n`,
  ).join('\n');

/** The cursor after the last character of `text`. */
export function endOf(text: string): { line: number; character: number } {
  const lines = text.split('\n');
  return { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 };
}
