import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { escapeHtml, pageHtml } from '../../../extension/webview/html.ts';

const page = pageHtml({
  name: 'memory',
  resource: (file) => `https://host/${file}?a&b`,
  source: 'https://host',
  nonce: 'bm9uY2U=',
  language: 'de',
  styles: 'body > main { gap: 0 }',
  first: '<p>4.2 MiB</p>',
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
      "style-src https://host 'nonce-bm9uY2U='",
    ]);
    assert.deepEqual(page.match(/<script[^>]*>/g), [
      '<script type="module" nonce="bm9uY2U=" src="https://host/memory.js?a&#38;b">',
      '<script nonce="bm9uY2U=">',
    ]);
    assert.doesNotMatch(page, /\son\w+=|\sstyle=/);
  });

  it('is drawn before anything is loaded', () => {
    assert.ok(page.includes('<div id="root"><p>4.2 MiB</p></div>'));
    assert.ok(page.includes('<style nonce="bm9uY2U=">body > main { gap: 0 }</style>'));
    // What is in a template is loaded when it is put into the page.
    assert.doesNotMatch(
      page.replace(/<template.*<\/template>/s, ''),
      /\s(?:src|href)=|https:.*\.js/,
    );
    assert.match(page, /addEventListener\('load', .*getElementById\('later'\)/);
  });

  it('keeps translations from becoming HTML', () => {
    assert.doesNotMatch(page, /alert\(1\)<\/script>/);
    assert.ok(page.includes('Übersetzt'));
    assert.ok(page.includes('<html lang="de">'));
    assert.equal(escapeHtml('a < "b" & c'), 'a &#60; &#34;b&#34; &#38; c');
  });
});
