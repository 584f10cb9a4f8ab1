/** A page without a browser, for code of webviews: import this first. */
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<!doctype html><body></body>');
for (const name of ['window', 'document', 'Node', 'HTMLElement'] as const) {
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name] });
}
