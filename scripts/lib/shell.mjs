/** Running other programs, and ending with one clear line instead of a stack trace. */
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const at = (...parts) => path.join(root, ...parts);

/** A failure whose message is all that the user needs. */
export class Failure extends Error {}

/** Runs the body of a script; a Failure becomes its message and exit code 1. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    console.error(error instanceof Failure ? `\n${error.message}` : error);
    process.exitCode = 1;
  }
}

export function heading(text) {
  console.log(`\n── ${text}`);
}

/**
 * Runs a program with its output shown, or returned where `capture` is set.
 * @returns {Promise<{ code: number, stdout: string }>} code 128 where a signal ended it
 */
export function attempt(
  command,
  args,
  { cwd = root, env = {}, capture = false, shell = false } = {},
) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      shell,
      env: { ...process.env, ...env },
      stdio: ['ignore', capture ? 'pipe' : 'inherit', 'inherit'],
    });
    let stdout = '';
    child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 128, stdout }));
  });
}

/** As `attempt`, but anything but exit code 0 is a Failure. Resolves to what it printed, with `capture`. */
export async function run(command, args, options) {
  const { code, stdout } = await attempt(command, args, options);
  if (code !== 0) {
    if (stdout !== '') console.error(stdout);
    throw new Failure(
      `${[path.basename(command), ...args].join(' ')}\nended with exit code ${code}.`,
    );
  }
  return stdout;
}

/** Runs a script with the Node that runs this one. */
export const node = (args, options) => run(process.execPath, args, options);

/** npm is a shell script on Windows, where only a shell finds it. */
export const npm = (args, options) =>
  run('npm', ['--loglevel=error', ...args], { ...options, shell: process.platform === 'win32' });

/** The full path of a program, as a shell would find it; undefined where there is none. */
export function onPath(program) {
  const endings = process.platform === 'win32' ? ['.exe', '.cmd', '.bat'] : [''];
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    for (const ending of endings) {
      const file = path.join(folder, program + ending);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        // Not here: look in the next folder.
      }
    }
  }
  return undefined;
}
