import * as l10n from '@vscode/l10n';
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Lines of stderr that are kept to explain a crash. */
const keptLines = 100;

/** One run of the sidecar. */
export interface SidecarProcess {
  readonly child: ChildProcess;
  /** How it ended, in words: `exit code 3`, `signal SIGKILL`. Never rejects. */
  readonly ended: Promise<string>;
  /** The last lines it wrote to stderr, oldest first. */
  readonly lastLines: readonly string[];
}

/** Starts the bundled sidecar with the editor's own runtime, as plain Node. */
export function startSidecar(
  path: string,
  onLine: (line: string) => void,
  env: Readonly<Record<string, string>> = {},
): SidecarProcess {
  const child = spawn(process.execPath, [path, '--stdio'], {
    env: { ...process.env, ...env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: 'pipe',
    windowsHide: true,
  });
  const lastLines: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    lastLines.push(line);
    if (lastLines.length > keptLines) lastLines.shift();
    onLine(line);
  });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      resolve(error.message);
    });
    // `close` comes after the last line of stderr, `exit` may come before.
    child.once('close', (code, signal) => {
      resolve(
        signal === null
          ? l10n.t('exit code {0}', code ?? l10n.t('unknown'))
          : l10n.t('signal {0}', signal),
      );
    });
  });
  return { child, ended, lastLines };
}
