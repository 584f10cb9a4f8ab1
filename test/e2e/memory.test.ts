import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { Frame } from 'playwright-core';
import { fullFile } from '../../scripts/sample-workspace.mjs';
import { root, screenshot } from './chromium.ts';
import { openWorkbench, seriousFindings, type Workbench } from './workbench.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('the memory view', () => {
  let workbench: Workbench;
  let page: Frame;
  const refused: string[] = [];
  before(async () => {
    workbench = await openWorkbench('memory');
    workbench.page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) refused.push(message.text());
    });
    await workbench.open(fullFile, 600);
    await workbench.ready();
    await workbench.status.filter({ hasText: 'tokens' }).click();
    page = await workbench.webview();
  });
  after(async () => {
    await screenshot(workbench.page, 'memory-end');
    await workbench.close();
  });

  /** The text of the page, once it matches. */
  async function says(pattern: RegExp): Promise<string> {
    const body = page.locator('body');
    await body.filter({ hasText: pattern }).waitFor();
    return plain(await body.innerText());
  }

  it('opens with a click on the status bar item, and draws account and figure', async (t: TestContext) => {
    // Comes with the forecast.
    const text = await says(/until the context is full/);
    await page.locator('#plot canvas').waitFor();
    for (const part of ['sink, FP16', 'int8', 'window, FP16']) {
      assert.ok(text.includes(part), `${part} in\n${text}`);
    }
    assert.match(text, /[\d ]+ of 8 192 tokens\s+· [\d.]+x smaller than FP16/);
    assert.match(text, /full 16\.0 MiB\s+selective [\d.]+ MiB\s+compressed [\d.]+ MiB/);
    assert.match(text, /Checked against FP16: divergence [\d.e-]+ nats, within 0\.02/);
    assert.deepEqual(refused, [], 'the content security policy was in the way');
    // Not asserted: how busy the machine is decides it as well.
    const ms = await page.evaluate<number>(
      "performance.getEntriesByName('first-contentful-paint')[0].startTime - performance.getEntriesByType('navigation')[0].domInteractive",
    );
    t.diagnostic(`first paint ${Math.round(ms)} ms after the page was there`);
  });

  it('follows the cache while one types', async () => {
    const headline = page.locator('.headline');
    const before = await headline.innerText();
    await workbench.open('ajv/compile/rules.ts', 40);
    await workbench.type('\n');
    await workbench.ghostLines();
    await says(/tokens of rules\.ts in sight/);
    await says(/Decode\s+[\d.]+ tokens\/s/);
    const deadline = Date.now() + 90_000;
    while ((await headline.innerText()) === before) {
      assert.ok(Date.now() < deadline, `it still says ${before}`);
      await sleep(50);
    }
  });

  for (const theme of ['Light Modern', 'Dark Modern', 'Dark High Contrast']) {
    it(`is accessible in the theme ${theme}`, async () => {
      await workbench.theme(theme);
      await page.locator(`body[data-vscode-theme-name="${theme}"]`).waitFor();
      await screenshot(workbench.page, `memory-${theme.toLowerCase().replaceAll(' ', '-')}`);
      assert.deepEqual(await seriousFindings(page, '--vscode-panel-background'), []);
    });
  }

  it('changes the policy with a click, and the tier from the keyboard', async () => {
    await page.locator('#policy').click();
    await page.locator('#policy li', { hasText: 'hierarchical' }).hover();
    await screenshot(workbench.page, 'memory-policies');
    await page.locator('#policy li', { hasText: 'hierarchical' }).click();
    await says(/By age: FP16 in the window/);
    await says(/hierarchical [\d.]+ MiB/);
    await workbench.hasSetting('sightline.cache.policy', 'hierarchical');
    assert.equal(await page.locator('#tier').count(), 0, 'this policy has no tier');

    await page.locator('#policy').click();
    await page.locator('#policy li', { hasText: 'selective' }).click();
    await workbench.hasSetting('sightline.cache.policy', 'selective');
    const { keyboard, mouse } = workbench.page;
    // Where the list opens under it, it chooses too.
    await mouse.move(0, 0);
    await page.locator('#tier').focus();
    await keyboard.press('Enter');
    for (let i = 0; i < 3; i += 1) await keyboard.press('ArrowDown');
    await keyboard.press('Enter');
    await says(/Keys and values in 4-bit integers/);
    await workbench.hasSetting('sightline.cache.tier', 'int4');
    await page.locator('.tiers', { hasText: 'int4' }).waitFor();
    const colors = await page.evaluate<string[]>(
      "[...document.querySelectorAll('.swatch')].map((swatch) => getComputedStyle(swatch).backgroundColor)",
    );
    assert.ok(colors.length >= 4 && !colors.includes('rgba(0, 0, 0, 0)'), colors.join(', '));
  });

  it('chooses a profile in place of policy and tier, and has these back', async () => {
    await page.locator('#profile').click();
    await page.locator('#profile li', { hasText: 'quality' }).click();
    await workbench.hasSetting('sightline.cache.profile', 'quality');
    // What was set apart is gone, and the policy of the profile has no tier.
    await page.locator('#tier').waitFor({ state: 'detached' });
    const message = workbench.page.locator('.notification-toast', { hasText: 'no longer set' });
    await message.getByRole('button', { name: 'Undo' }).click();
    await workbench.hasSetting('sightline.cache.tier', 'int4');
    await says(/Set apart from it: Policy, Tier of older tokens/);
    await page.locator('.tiers', { hasText: 'int4' }).waitFor();
  });

  it('bounds the cache by the budget that is typed', async () => {
    const field = page.locator('#budget input');
    await field.fill('12');
    await field.press('Enter');
    await workbench.hasSetting('sightline.cache.budgetMiB', 12);
    await says(/free of the budget/);
    await says(/budget 12\.0 MiB/);
  });

  it('saves the figure and its data', async () => {
    const folder = path.join(root, 'build/e2e/memory/workspace');
    const save = async (button: string, file: string): Promise<Buffer> => {
      await page.locator('vscode-button', { hasText: button }).click();
      await workbench.confirmFile(file);
      for (;;) {
        const content = await readFile(path.join(folder, file)).catch(() => undefined);
        if (content !== undefined && content.length > 0) return content;
        await sleep(50);
      }
    };
    const csv = (await save('CSV', 'sightline-memory.csv')).toString();
    assert.match(csv, /^tokens,full \(bytes\),selective \(bytes\),compressed \(bytes\),measured/);
    assert.match(csv, /^8192,\d+,\d+,\d+,$/m);
    const png = await save('PNG', 'sightline-memory.png');
    assert.deepEqual(png.subarray(1, 4).toString(), 'PNG');
  });
});
