import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { format } from 'node:util';
import { startServer } from '../../scripts/code-server/server.mjs';
import { launchChromium, root, screenshot } from '../e2e/chromium.ts';
import { machineSettings } from '../e2e/workbench.ts';
import type { Launch } from './run.ts';

const limitMs = 8 * 60_000;

/**
 * Runs the suite in code-server's extension host. Its workbench, in Chromium, takes the two paths in
 * the URL's payload, as VS Code's own tests do, and reports the end through a function of the page.
 */
export async function runInCodeServer({ suite, workspace, env }: Launch): Promise<boolean> {
  const folder = path.join(root, 'build/vscode-tests/server');
  await rm(folder, { recursive: true, force: true });
  const settings = {
    'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
    'editor.wordBasedSuggestions': 'off',
    'editor.autoClosingBrackets': 'never',
  };
  const server = await startServer({ folder, settings, machineSettings, env, testDriver: true });
  const browser = await launchChromium();
  let timer: NodeJS.Timeout | undefined;
  try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
    // The workbench's own log, and that of the host: only of use where the suite does not start.
    const log = createWriteStream(path.join(folder, 'workbench.log'));
    await page.exposeFunction('codeAutomationLog', (type: string, args: readonly unknown[]) => {
      log.write(`[${type}] ${format(...args)}\n`);
    });
    const exit = new Promise<number>((resolve) => {
      void page.exposeFunction('codeAutomationExit', resolve);
    });
    const remote = (file: string): string => `vscode-remote://${server.authority}${file}`;
    await page.goto(
      server.url(workspace, [
        ['extensionDevelopmentPath', remote(root)],
        ['extensionTestsPath', remote(suite)],
        ['skipWelcome', 'true'],
      ]),
    );
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, limitMs, undefined);
    });
    const code = await Promise.race([exit, late]);
    await screenshot(page, 'extension-host');
    if (code === undefined) console.error(`The suite did not end within ${limitMs / 60_000} min.`);
    return code === 0;
  } finally {
    clearTimeout(timer);
    await browser.close();
    await server.stop();
  }
}
