import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, before, describe, it } from 'node:test';
import { fullFile, longFile } from '../../scripts/sample-workspace.mjs';
import { root, screenshot } from './chromium.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

/** What the bundled model's cache takes for a token in FP16: 4 layers, 2 KV heads of 64, K and V. */
const fp16BytesPerToken = 4 * 2 * 64 * 2 * 2;
const contextTokens = 8192;

/** "5.1 MiB · 7 480 tokens · 1.9x" */
function parseStatus(text: string): { bytes: number; tokens: number; ratio: number } {
  const match = /([\d.]+) (KiB|MiB) · ([\d\s]+) tokens · ([\d.]+)x/.exec(text);
  assert(match, `the status bar says: ${text}`);
  const [, amount, unit, tokens, ratio] = match;
  return {
    bytes: Number(amount) * (unit === 'MiB' ? 2 ** 20 : 2 ** 10),
    tokens: Number(tokens?.replaceAll(/\s/g, '')),
    ratio: Number(ratio),
  };
}

/** Everything before and after the end of a line (from 1). */
function splitAtLine(text: string, line: number): [string, string] {
  const before = text.split('\n').slice(0, line).join('\n');
  return [before, text.slice(before.length)];
}

describe('the packaged extension in VS Code', () => {
  let workbench: Workbench;
  before(async () => {
    workbench = await openWorkbench('sightline');
  });
  after(async () => {
    await workbench.close();
  });
  let number = 0;
  afterEach(async () => {
    number += 1;
    await screenshot(workbench.page, `e2e-${number}-end`);
  });

  it('completes in a file that fills the context, and Tab accepts what the ghost text says', async () => {
    const line = 600;
    const typed = '\n\tif (';
    const original = await readFile(
      path.join(root, 'build/e2e/sightline/workspace', fullFile),
      'utf8',
    );
    await workbench.open(fullFile, line);
    await workbench.ready();
    await workbench.type(typed);
    const ghost = await workbench.ghostLines();
    await screenshot(workbench.page, 'ghost-text');
    assert(ghost.join('').length > 0);

    await workbench.page.keyboard.press('Tab');
    const text = await workbench.savedText(fullFile);
    await screenshot(workbench.page, 'accepted');
    const [head, tail] = splitAtLine(original, line);
    assert(text.startsWith(head + typed) && text.endsWith(tail), 'other text changed too');
    const accepted = text.slice((head + typed).length, text.length - tail.length);
    const acceptedLines = accepted.split('\n').map((line) => line.trim());
    assert.deepEqual(acceptedLines, ghost);
  });

  it('shows plausible memory in the status bar, and the tiers in its tooltip', async () => {
    const status = async (): Promise<ReturnType<typeof parseStatus>> =>
      parseStatus(await workbench.status.innerText());
    // The file goes into the cache while nothing happens.
    while ((await status()).tokens <= 0.8 * contextTokens) await sleep(100);
    const { bytes, tokens, ratio } = await status();
    assert(tokens > 0.8 * contextTokens && tokens <= contextTokens, `${tokens} tokens`);
    assert(bytes > 0.4 * tokens * fp16BytesPerToken, `${bytes} bytes`);
    assert(bytes < 0.7 * tokens * fp16BytesPerToken, `${bytes} bytes`);
    assert(ratio > 1.5 && ratio < 2.1, `${ratio}x`);

    const whole = `tokens of ${path.basename(fullFile)} in sight`;
    let tooltip = await workbench.tooltip();
    // The last of the file may still be on its way.
    const deadline = Date.now() + 90_000;
    while (!tooltip.includes('All') && Date.now() < deadline) tooltip = await workbench.tooltip();
    await screenshot(workbench.page, 'tooltip');
    for (const text of ['sink', 'int8', 'window', 'FP16', 'All', whole]) {
      assert(tooltip.includes(text), `no "${text}" in the tooltip:\n${tooltip}`);
    }
  });

  it('says what of a long file does not fit', async () => {
    await workbench.open(longFile, 2900);
    await workbench.type('\n');
    await workbench.ghostLines();
    const { tokens } = parseStatus(await workbench.status.innerText());
    assert(tokens <= contextTokens, `${tokens} tokens`);
    const tooltip = await workbench.tooltip();
    await screenshot(workbench.page, 'left-out');
    assert.match(
      tooltip,
      /[\d ]+ of [\d ]+ tokens of ast-utils\.js in sight[;,] [\d ]+ (?:left out|of them)/,
    );
  });

  it('restarts a killed sidecar, says so, and completes again', async () => {
    const { page } = workbench;
    await workbench.open('ajv/compile/rules.ts', 40);
    process.kill(workbench.sidecarPid(), 'SIGKILL');
    const message = page.locator('.notification-toast', { hasText: 'restarted' });
    await message.waitFor();
    await screenshot(page, 'restarted');
    await workbench.ready();
    await workbench.type('\n');
    assert((await workbench.ghostLines()).join('').length > 0);
  });
});
