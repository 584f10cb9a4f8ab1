/** Next edits by the keys that a person presses. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { screenshot } from './chromium.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

const file = 'ajv/compile/rules.ts';

describe('next edits in VS Code', () => {
  let workbench: Workbench;
  before(async () => {
    // Completions go first, and would come and go here as they like.
    const settings = { 'sightline.nextEdit.enable': true, 'editor.inlineSuggest.enabled': false };
    workbench = await openWorkbench('nextEdit', { settings });
  });
  after(async () => {
    await workbench.close();
  });

  /** Types at the end of the second word of a line. */
  async function rename(line: number, typed: string): Promise<void> {
    const { keyboard } = workbench.page;
    await workbench.open(file, line);
    await keyboard.press('Home');
    for (let i = 0; i < 2; i++) await keyboard.press('Control+ArrowRight');
    await workbench.type(typed);
  }

  it('are shown in the text and the status bar, accepted by Tab and dismissed by Escape', async () => {
    const { page } = workbench;
    const item = page.locator('.statusbar-item[id="sightline.sightline.sightline.nextEdit"]');
    await workbench.open(file, 7);
    await workbench.ready();
    await rename(7, 'Set');
    await item.filter({ hasText: 'Tab: line 10' }).waitFor();
    await screenshot(page, 'next-edit');
    await page.keyboard.press('Tab');
    await item.waitFor({ state: 'hidden' });
    const text = await workbench.savedText(file);
    const lines = text.split('\n');
    assert.equal(lines[6], 'const jsonTypesSet: Set<string> = new Set(_jsonTypes)');
    assert.equal(lines[9], '  return typeof x == "string" && jsonTypesSet.has(x)');

    await rename(7, 's');
    await item.waitFor();
    await page.keyboard.press('Escape');
    await item.waitFor({ state: 'hidden' });
    // Tab is the editor's own again.
    await page.keyboard.press('Tab');
    const [, , , , , , tabbed, , , used] = (await workbench.savedText(file)).split('\n');
    assert.match(tabbed ?? '', /^const jsonTypesSets\s+: /);
    assert.equal(used, lines[9]);
  });
});
