/** A page without a browser, for code of webviews: import this first. */
import { JSDOM } from 'jsdom';

const { window } = new JSDOM('<!doctype html><body></body>');
const { document, navigator, Node, HTMLElement } = window;
// Controls of @vscode-elements stay elements that nobody defines: jsdom lacks what their forms are made of.
const customElements = { define: () => undefined, get: () => undefined };
const globals = { window, document, navigator, Node, HTMLElement, customElements };
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true });
}
