import { runTests } from '@vscode/test-electron';
import { root } from '../e2e/chromium.ts';
import type { Launch } from './run.ts';

/** Runs the suite in desktop VS Code, downloaded by @vscode/test-electron. */
export async function runInElectron({ suite, workspace, env }: Launch): Promise<boolean> {
  try {
    const code = await runTests({
      extensionDevelopmentPath: root,
      extensionTestsPath: suite,
      extensionTestsEnv: env,
      launchArgs: [workspace, '--disable-extensions', '--disable-workspace-trust'],
    });
    return code === 0;
  } catch (error) {
    console.error(error);
    return false;
  }
}
