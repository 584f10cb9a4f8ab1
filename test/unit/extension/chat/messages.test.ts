import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fromPage } from '../../../../extension/chat/messages.ts';

const isKnown = (message: unknown): boolean => fromPage.safeParse(message).success;

describe('what the page of the chat may say', () => {
  it('is understood', () => {
    for (const message of [
      { kind: 'ready' },
      { kind: 'send', question: 'Why?' },
      { kind: 'regenerate', turn: 'x' },
      { kind: 'apply', code: 'a', info: 'ts', turn: 'x' },
      { kind: 'attach', what: 'folder' },
      { kind: 'useDocument', on: false },
    ]) {
      assert.ok(isKnown(message), message.kind);
    }
  });

  it('is nothing else', () => {
    for (const message of [
      undefined,
      null,
      'send',
      [],
      {},
      { kind: 'execute', command: 'workbench.action.quit' },
      { kind: 'send' },
      { kind: 'send', question: 7 },
      { kind: 'send', question: 'a', command: 'b' },
      { kind: 'send', question: 'a'.repeat(2_000_001) },
      { kind: 'attach', what: 'network' },
      { kind: 'useDocument', on: 'yes' },
      { kind: 'ready', __proto__: null, constructor: {} },
    ]) {
      assert.ok(!isKnown(message), typeof message);
    }
  });
});
