import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Frame } from 'playwright-core';
import { fullFile } from '../../scripts/sample-workspace.mjs';
import { root, screenshot } from './chromium.ts';
import { openWorkbench, seriousFindings, type Workbench } from './workbench.ts';

/** As a model might write it: prose, lists and two long blocks of code, of about 5 000 tokens. */
function longAnswer(): string {
  const code = readFileSync(path.join(root, 'extension/chat/chat.ts'), 'utf8').slice(0, 7000);
  const part = (index: number): string =>
    `## Part ${index}\n\nThe *cache* holds \`part${index}\`, and what follows it is **evaluated** again.\n\n` +
    `1. It is read.\n2. It is written, with a [link](https://example.org/${index}).\n\n| name | value |\n|---|---|\n| a | ${index} |\n\n`;
  const parts = Array.from({ length: 8 }, (_, index) => part(index)).join('');
  return `${parts}\`\`\`ts\n${code}\n\`\`\`\n\n${parts}\`\`\`ts\n${code}\n\`\`\`\n\nThat is all.\n`;
}

interface Streamed {
  readonly tokens: number;
  readonly frames: number;
  readonly worstFrameMs: number;
  readonly longTasksMs: number[];
  /** Nodes that each drawing added. */
  readonly added: number[];
  readonly text: string;
}

describe('the chat', () => {
  let workbench: Workbench;
  let page: Frame;
  before(async () => {
    workbench = await openWorkbench('chat');
    await workbench.open(fullFile, 600);
    await workbench.ready();
    await workbench.command('Sightline: Focus Chat');
    page = await workbench.webview();
    await page.locator('textarea').waitFor();
    // As its style sheet has it: pages of webviews have theirs in the body.
    const deadline = Date.now() + 60_000;
    while ((await overflowOf('.log')) !== 'auto') {
      assert.ok(Date.now() < deadline, 'the page has no style sheet');
      await sleep(100);
    }
  });
  after(async () => {
    await screenshot(workbench.page, 'chat-end');
    await workbench.close();
  });

  const overflowOf = (selector: string): Promise<unknown> =>
    page.evaluate(
      `getComputedStyle(document.querySelector(${JSON.stringify(selector)})).overflowY`,
    );
  const ask = async (question: string): Promise<void> => {
    await page.locator('textarea').fill(question);
    await page.locator('textarea').press('Enter');
  };
  const post = (message: unknown): Promise<void> =>
    page.evaluate(`window.postMessage(${JSON.stringify(message)}, '*')`);
  /** A conversation of one question, as the host tells the page of it. */
  const show = (id: string, question: string, answer: object): Promise<void> => {
    const turn = { id, question, answer, attachments: [], chips: [], notes: [] };
    return post({ kind: 'conversation', id, title: '', canUndo: false, turns: [turn] });
  };

  it('answers by the keyboard alone, with the time to the first token and what came from the cache', async () => {
    await ask('What does this file do?');
    await page.locator('.question', { hasText: 'What does this file do?' }).waitFor();
    const facts = page.locator('.facts summary');
    await facts.first().waitFor();
    assert.match(
      (await facts.first().innerText()).replaceAll('\u00a0', ' '),
      /First token after [\d.]+ s · (?:[\d.]+ tokens\/s · )?[\d ]+ prompt tokens, [\d ]+ of them from the cache/,
    );
    assert.notEqual(await page.locator('.markdown').first().innerText(), '');
  });

  it('edits the last question with the arrow up, and gives that up with Escape', async () => {
    const input = page.locator('textarea');
    await input.press('ArrowUp');
    await page.locator('.editing').waitFor();
    assert.equal(await input.inputValue(), 'What does this file do?');
    await input.press('Escape');
    await page.locator('.editing').waitFor({ state: 'detached' });
    assert.equal(await input.inputValue(), '');
  });

  it('completes the names of files behind #, and attaches them with their cost', async () => {
    const input = page.locator('textarea');
    await input.pressSequentially('#rules.ts');
    const option = page.locator('#paths [role=option]', { hasText: 'ajv/compile/rules.ts' });
    await option.first().waitFor();
    await input.press('Enter');
    await page.locator('.composer .chip', { hasText: /rules\.ts.*tokens/s }).waitFor();
    assert.match(await input.inputValue(), /^#ajv\/compile\/rules\.ts $/);
    await page.locator('.composer .chip button[aria-label*="rules.ts"]').click();
    await page.locator('.composer .chip', { hasText: 'rules.ts' }).waitFor({ state: 'detached' });
    await input.fill('');
  });

  it('shows text as it comes, and stops with Escape', async () => {
    // The bundled model is done before anyone could press a key: what a slow one sends is told by hand.
    const id = '9a1d1f0e-7f4c-4a57-9d0e-1f2b3c4d5e6f';
    await show(id, 'Slowly', { text: '', state: 'running' });
    await page.locator('.composer button', { hasText: 'Stop' }).waitFor();
    await post({ kind: 'prefill', turn: id, done: 100, total: 400 });
    await page.locator('.state', { hasText: 'Reading 100 of 400 tokens' }).waitFor();
    await post({ kind: 'text', turn: id, text: '**First** part.\n\nSecond\npa' });
    await page.locator('.markdown strong', { hasText: 'First' }).waitFor();
    const status = page.locator('[role=status]');
    await status.filter({ hasText: 'First part.' }).waitFor();
    assert.ok(!(await status.innerText()).includes('Second'), 'said before it is whole');
    await page.locator('textarea').press('Escape');
    await post({
      kind: 'answer',
      turn: id,
      answer: { text: '**First** part.\n\nSec', state: 'stopped' },
    });
    await page.locator('.state', { hasText: 'Stopped' }).waitFor();
    await page.locator('.composer button', { hasText: 'Send' }).waitFor();
  });

  it('draws 5 000 tokens as they come, each time no more than what is new', async (t: TestContext) => {
    const id = '1c7a6c3e-3e0b-4d5a-8c55-0f5d3a0b7c11';
    await show(id, 'A long one', { text: '', state: 'running' });
    await page.locator('.composer button', { hasText: 'Stop' }).waitFor();
    const text = longAnswer();
    const streamed = await page.evaluate<Streamed>(`(async () => {
      const text = ${JSON.stringify(text)};
      const markdown = document.querySelector('.markdown');
      const longTasksMs = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longTasksMs.push(Math.round(duration));
      }).observe({ type: 'longtask' });
      const added = [];
      const nodesIn = (node) => 1 + (node.querySelectorAll?.('*').length ?? 0);
      const observer = new MutationObserver((records) => {
        let nodes = 0;
        for (const { addedNodes } of records) for (const node of addedNodes) nodes += nodesIn(node);
        added.push(nodes);
      });
      observer.observe(markdown, { childList: true, subtree: true });
      let frames = 0, last = performance.now(), worstFrameMs = 0, going = true;
      const frame = (now) => {
        frames += 1;
        worstFrameMs = Math.max(worstFrameMs, now - last);
        last = now;
        if (going) requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
      // Tokens as a tokeniser might cut them, some at a time.
      const tokens = text.match(/\\s*[\\p{L}\\p{N}]{1,4}|\\s*[^\\s\\p{L}\\p{N}]{1,3}|\\s+/gu);
      for (let at = 0; at < tokens.length; at += 8) {
        const piece = tokens.slice(at, at + 8).join('');
        window.postMessage({ kind: 'text', turn: '${id}', text: piece }, '*');
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
      while (!markdown.textContent.includes('That is all.')) await new Promise(requestAnimationFrame);
      going = false;
      observer.disconnect();
      return { tokens: tokens.length, frames, worstFrameMs, longTasksMs, added, text: markdown.textContent };
    })()`);
    const { added, tokens, frames, longTasksMs, worstFrameMs } = streamed;
    // Not asserted: how busy the machine is decides it as well.
    t.diagnostic(
      `${tokens} tokens in ${added.length} drawings; ${frames} frames, the longest ${Math.round(worstFrameMs)} ms; ` +
        `${longTasksMs.length} tasks of 50 ms or more: ${longTasksMs.join(', ')}`,
    );
    assert.ok(tokens > 4500, `${tokens} tokens`);
    const all = added.reduce((sum, one) => sum + one, 0);
    const nodes = await page.locator('.markdown *').count();
    t.diagnostic(`${all} nodes drawn for the ${nodes} that are there`);
    assert.ok(added.length > 10, `${added.length} drawings`);
    // A drawing draws what is new, and of what was there the last block or the last lines of code.
    const again = (all - nodes) / added.length;
    assert.ok(again < 40, `${again} nodes drawn again each time`);
    const plain = (some: string): string => some.replaceAll(/\s+/g, '');
    assert.ok(plain(streamed.text).endsWith('Thatisall.'));
    await post({ kind: 'answer', turn: id, answer: { text, state: 'end' } });
    await page.locator('.composer button', { hasText: 'Send' }).waitFor();
    assert.equal((await page.locator('figure.code .line').count()) > 300, true);
  });

  it('copies code, inserts it at the cursor, and shows what applying it changes before it does', async () => {
    const say = (text: string): Promise<void> =>
      show(randomUUID(), 'How do I write it?', { text, state: 'end' });
    await say('Like this: <img src=x onerror=alert(1)>');
    await page.locator('.markdown', { hasText: 'onerror' }).waitFor();
    assert.equal(await page.locator('.markdown img').count(), 0);
    await say(
      'Like this:\n\n```js\nconst inserted = "by the chat";\n```\n\nIt is one statement and needs no block.\n',
    );
    await page.locator('.question', { hasText: 'How do I write it?' }).waitFor();
    await page.locator('figure.code [data-action=copy]').click();
    await page.locator('[role=status]').filter({ hasText: 'Copied' }).waitFor();
    await page.locator('figure.code [data-action=insert]').click();
    const lines = workbench.page.locator('.editor-instance .view-lines');
    await lines.filter({ hasText: /const\sinserted\s=/ }).waitFor();
    await page.locator('figure.code [data-action=apply]').click();
    await workbench.page.locator('.tab.active', { hasText: 'Changes of' }).waitFor();
    await screenshot(workbench.page, 'chat-apply');
    await workbench.command('Sightline: Reject All Changes');
    await workbench.page.locator('.tab', { hasText: 'Changes of' }).waitFor({ state: 'detached' });
  });

  for (const theme of ['Light Modern', 'Dark Modern', 'Dark High Contrast']) {
    it(`is accessible in the theme ${theme}`, async () => {
      await workbench.theme(theme);
      await page.locator(`body[data-vscode-theme-name="${theme}"]`).waitFor();
      await screenshot(workbench.page, `chat-${theme.toLowerCase().replaceAll(' ', '-')}`);
      assert.deepEqual(await seriousFindings(page, '--vscode-sideBar-background'), []);
    });
  }

  it('has the conversation again when its view is made anew', async () => {
    await workbench.command('View: Toggle Primary Side Bar Visibility');
    await workbench.command('Sightline: Focus Chat');
    page = await workbench.webview();
    await page.locator('.question', { hasText: 'What does this file do?' }).waitFor();
    await page.locator('.facts').first().waitFor();
  });
});
