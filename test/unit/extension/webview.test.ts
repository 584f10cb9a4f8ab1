import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pageHtml } from '../../../extension/webview/html.ts';

const page = pageHtml({
  name: 'memory',
  resource: (file) => `https://host/${file}?a&b`,
  source: 'https://host',
  nonce: 'bm9uY2U=',
  language: 'de',
  loading: 'Lädt & zeichnet',
  strings: '{"\\"><script>alert(1)</script>":"Übersetzt"}',
});

describe('pageHtml', () => {
  it('allows one script, and resources of the extension alone', () => {
    const [, policy = ''] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    assert.deepEqual(policy.split('; ').sort(), [
      "base-uri 'none'",
      "default-src 'none'",
      'font-src https://host',
      "form-action 'none'",
      'img-src https://host',
      "script-src 'nonce-bm9uY2U='",
      'style-src https://host',
    ]);
    assert.deepEqual(page.match(/<script[^>]*>/g), [
      '<script type="module" nonce="bm9uY2U=" src="https://host/memory.js?a&#38;b">',
    ]);
    assert.doesNotMatch(page, /<style|\son\w+=|\sstyle=/);
  });

  it('keeps translations from becoming HTML', () => {
    assert.doesNotMatch(page, /alert\(1\)<\/script>/);
    assert.ok(page.includes('Übersetzt'));
    assert.ok(page.includes('<html lang="de">'));
    assert.ok(page.includes('<div id="root">Lädt &#38; zeichnet</div>'));
  });
});
