/** VS Code in Chromium with the packaged extension, and what a person does with it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AxeResults } from 'axe-core';
import { errors, type Frame, type Locator, type Page } from 'playwright-core';
import { installExtension, startServer } from '../../scripts/code-server/server.mjs';
import { makeSampleWorkspace } from '../../scripts/sample-workspace.mjs';
import { launchChromium, root } from './chromium.ts';

const vsix = path.join(root, 'build', `sightline-${process.platform}-${process.arch}.vsix`);
/** Loading VS Code and the model takes this long at worst, on two busy cores. */
const patientMs = 90_000;

const settings = {
  'files.autoSave': 'off',
  // What is typed is all that changes the text.
  'editor.autoIndent': 'none',
  'editor.autoClosingBrackets': 'never',
  'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
  'editor.suggestOnTriggerCharacters': false,
  'editor.wordBasedSuggestions': 'off',
  // A workspace that is not trusted is opened without being asked about.
  'security.workspace.trust.startupPrompt': 'never',
};

/** ggml's threads spin at barriers: beside a busy browser, two on two cores wait for each other. */
export const machineSettings = { 'sightline.threads': 1 };

export interface Workbench {
  readonly page: Page;
  /** Sightline's item in the status bar. */
  readonly status: Locator;
  /** Waits until the sidecar has a model, or at least loads none. */
  ready(): Promise<void>;
  /** Opens a file of the workspace, with the cursor at the end of a line (from 1). */
  open(file: string, line: number): Promise<void>;
  type(text: string): Promise<void>;
  /** Runs a command of the palette. */
  command(title: string): Promise<void>;
  /** Changes the colour theme. */
  theme(name: string): Promise<void>;
  /** The page of a webview that is in sight. */
  webview(): Promise<Frame>;
  /** Waits until the user's settings have a value. */
  hasSetting(name: string, value: string | number): Promise<void>;
  /** Accepts the file that a dialog proposes, once it proposes this one. */
  confirmFile(name: string): Promise<void>;
  /** Waits for ghost text, and gives its lines without their indentation. */
  ghostLines(): Promise<string[]>;
  /** Saves the file in front and reads it. */
  savedText(file: string): Promise<string>;
  /** The text of the status bar item's tooltip. */
  tooltip(): Promise<string>;
  /** Process id of the sidecar. */
  sidecarPid(): number;
  close(): Promise<void>;
}

/** VS Code shows a space as a no-break space. */
const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

const appears = (locator: Locator, timeout: number): Promise<boolean> =>
  locator.waitFor({ timeout }).then(
    () => true,
    (error: unknown) => {
      if (error instanceof errors.TimeoutError) return false;
      throw error;
    },
  );

export interface WorkbenchOptions {
  /** Of the user, besides the usual ones; `ofMachine` those that no user has elsewhere. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly ofMachine?: Readonly<Record<string, unknown>>;
  /** Of the workspace, which is not trusted then. */
  readonly untrusted?: Readonly<Record<string, unknown>>;
}

export async function openWorkbench(
  name: string,
  { settings: more = {}, ofMachine = {}, untrusted }: WorkbenchOptions = {},
): Promise<Workbench> {
  const folder = path.join(root, 'build/e2e', name);
  await rm(folder, { recursive: true, force: true });
  const workspace = await makeSampleWorkspace(path.join(folder, 'workspace'));
  const serverFolder = path.join(folder, 'server');
  installExtension(vsix, serverFolder);
  const env = { XDG_CACHE_HOME: path.join(folder, 'cache') };
  if (untrusted !== undefined) {
    await mkdir(path.join(workspace, '.vscode'));
    await writeFile(path.join(workspace, '.vscode/settings.json'), JSON.stringify(untrusted));
  }
  const server = await startServer({
    folder: serverFolder,
    settings: { ...settings, ...more },
    machineSettings: { ...machineSettings, ...ofMachine },
    env,
    workspaceTrust: untrusted !== undefined,
  });
  const browser = await launchChromium();
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
  page.setDefaultTimeout(patientMs);
  await page.goto(server.url(workspace));
  await page.locator('.monaco-workbench').waitFor();

  const status = page.locator('.statusbar-item[id="sightline.sightline.sightline.status"]');
  const quickInput = page.locator('.quick-input-widget input').first();
  const firstRow = page.locator('.quick-input-list .monaco-list-row.focused');

  const command = async (title: string): Promise<void> => {
    await page.keyboard.press('F1');
    await quickInput.waitFor();
    await quickInput.fill(`>${title}`);
    await firstRow.filter({ hasText: title }).waitFor();
    await page.keyboard.press('Enter');
  };
  /** The mouse off the status bar, where it would keep the tooltip. */
  const away = (): Promise<void> => page.mouse.move(700, 400);

  return {
    page,
    status,
    async ready() {
      await status.filter({ hasText: /Sightline$|tokens/ }).waitFor();
    },
    async open(file, line) {
      const base = path.basename(file);
      await away();
      await page.keyboard.press('Control+P');
      await quickInput.waitFor();
      await quickInput.fill(`${file}:${line}`);
      await firstRow.filter({ hasText: base }).waitFor();
      await page.keyboard.press('Enter');
      await page.locator(`.tab.active[data-resource-name="${base}"]`).waitFor();
      await page.locator('.statusbar-item', { hasText: `Ln ${line}, ` }).waitFor();
      await page.locator('.editor-instance .monaco-editor.focused').waitFor();
      await page.keyboard.press('End');
    },
    async type(text) {
      await page.keyboard.type(text, { delay: 40 });
    },
    command,
    async theme(name) {
      await page.keyboard.press('Control+K');
      await page.keyboard.press('Control+T');
      await quickInput.waitFor();
      await quickInput.fill(name);
      await firstRow.filter({ hasText: name }).waitFor();
      await page.keyboard.press('Enter');
      await quickInput.waitFor({ state: 'hidden' });
    },
    async webview() {
      // VS Code puts an extension's page into a frame of a frame.
      const outer = page.frameLocator('iframe.webview.ready').locator('iframe#active-frame');
      const element = await outer.elementHandle();
      const frame = await element.contentFrame();
      assert(frame, 'no webview is in sight');
      return frame;
    },
    async hasSetting(name, value) {
      const files = ['User', 'Machine'].map((kind) =>
        path.join(serverFolder, 'data/data', kind, 'settings.json'),
      );
      const line = `${JSON.stringify(name)}: ${JSON.stringify(value)}`;
      const deadline = Date.now() + patientMs;
      while (!files.some((file) => readFileSync(file, 'utf8').includes(line))) {
        assert(Date.now() < deadline, `no setting ${line}`);
        await sleep(50);
      }
    },
    async confirmFile(name) {
      const deadline = Date.now() + patientMs;
      while (!(await quickInput.inputValue()).endsWith(name)) {
        assert(Date.now() < deadline, `the dialog proposes ${await quickInput.inputValue()}`);
        await sleep(50);
      }
      await page.keyboard.press('Enter');
      await quickInput.waitFor({ state: 'hidden' });
    },
    async ghostLines() {
      const ghost = '[class*="ghost-text"]';
      const onCursorsLine = page.locator(`.editor-instance .view-lines .view-line ${ghost}`);
      // Further lines are drawn in a zone between those of the file.
      const below = page.locator(`.editor-instance .view-zones .view-line:has(${ghost})`);
      // VS Code listens for this only from some seconds after its first editor: who typed before that
      // and sees nothing asks by command.
      const deadline = Date.now() + patientMs;
      while (!(await appears(onCursorsLine.first(), 20_000))) {
        assert(Date.now() < deadline, 'no ghost text');
        await command('Trigger Inline Suggestion');
      }
      const first = (await onCursorsLine.allInnerTexts()).join('');
      return [first, ...(await below.allInnerTexts())].map((line) => plain(line).trim());
    },
    async savedText(file) {
      await page.keyboard.press('Control+S');
      await page.locator('.tab.active:not(.dirty)').waitFor();
      return readFile(path.join(workspace, file), 'utf8');
    },
    async tooltip() {
      const hover = page.locator('.workbench-hover-container').filter({ hasText: 'Sightline' });
      // The item is drawn anew with every change of its text, and where that happens under the mouse
      // no tooltip comes until it moves again, as a person's would.
      const deadline = Date.now() + patientMs;
      do {
        assert(Date.now() < deadline, 'no tooltip');
        await away();
        await status.hover();
      } while (!(await appears(hover, 5000)));
      return plain(await hover.innerText());
    },
    sidecarPid() {
      const found = readdirSync('/proc')
        .filter((entry) => /^\d+$/.test(entry))
        .filter((entry) => {
          const command = commandOf(entry);
          return command.includes(serverFolder) && command.includes('dist/sidecar.mjs');
        });
      assert.equal(found.length, 1, `${found.length} sidecars are running`);
      return Number(found[0]);
    },
    async close() {
      await browser.close();
      await server.stop();
    },
  };
}

/**
 * What axe-core finds in a page that keeps people from using it, one line each. A page is drawn on what is behind its frame,
 * which axe-core does not see: `background` is the theme's colour of that.
 */
export async function seriousFindings(page: Frame, background: string): Promise<string[]> {
  await page.evaluate(`document.documentElement.style.backgroundColor = 'var(${background})'`);
  await page.evaluate(readFileSync(path.join(root, 'node_modules/axe-core/axe.min.js'), 'utf8'));
  const { violations } = await page.evaluate<AxeResults>(
    "axe.run({ resultTypes: ['violations'] })",
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`));
}

/** The command line of a process; empty where it has just ended. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
