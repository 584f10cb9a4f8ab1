import '../../../support/page.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { render } from 'lit';
import { drawObstacle } from '../../../../../extension/chat/view/obstacle.ts';
import type { ChatMessages, Obstacle } from '../../../../../extension/chat/messages.ts';

/** The banner, its text in one line, and what its buttons say to the host when they are clicked, in order. */
function drawn(obstacle: Obstacle): { root: HTMLElement; text: string; says: string[] } {
  const root = document.createElement('div');
  const heard: ChatMessages['fromPage'][] = [];
  render(
    drawObstacle(obstacle, 'starcoder', (message) => heard.push(message)),
    root,
  );
  for (const button of root.querySelectorAll('button')) button.click();
  const text = root.textContent.replace(/\s+/g, ' ').trim();
  return { root, text, says: heard.map(({ kind }) => kind) };
}

describe('the banner of the chat', () => {
  it('names a model that has no template for conversations, and offers another', () => {
    const { root, text, says } = drawn('noTemplate');
    assert.match(text, /^starcoder completes code, but has no template for conversations\./);
    assert.match(text, /Choose another model$/);
    assert.deepEqual(says, ['settings']);
    assert.ok(root.querySelector('.obstacle .codicon-warning'));
  });

  it('says that no model is loaded, and offers another or a restart', () => {
    const { root, text, says } = drawn('noModel');
    assert.equal(text, 'No model is loaded; the status bar says why. Choose another model Restart');
    assert.deepEqual(says, ['settings', 'restart']);
    assert.ok(root.querySelector('.obstacle .codicon-error'));
  });

  it('is not there while nothing is in the way, or a model may come yet', () => {
    for (const obstacle of ['none', 'loading'] as const) {
      assert.deepEqual(drawn(obstacle).root.children.length, 0, obstacle);
    }
  });
});
