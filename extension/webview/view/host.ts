/**
 * The page's end of its channel to the extension host. Importing this module first makes `l10n.t` of @vscode/l10n say
 * things in the user's language.
 */
import * as l10n from '@vscode/l10n';
import type { Messages } from '../messages.ts';

declare function acquireVsCodeApi(): {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
};

const api = acquireVsCodeApi();
l10n.config({ contents: document.body.dataset['strings'] ?? '{}' });

/** The element that the page draws into, without the text that was there until now. */
export function emptyRoot(): HTMLElement {
  const root = document.getElementById('root') ?? document.body;
  root.replaceChildren();
  return root;
}

/** Calls `receive` with what the host says from now on, and gives the function that tells the host something. */
export function connect<M extends Messages>(
  receive: (message: M['toPage']) => void,
): (message: M['fromPage']) => void {
  window.addEventListener('message', ({ data }: MessageEvent<M['toPage']>) => {
    receive(data);
  });
  return (message) => {
    api.postMessage(message);
  };
}

/** What the page keeps when it goes out of sight and is made anew; undefined before anything was kept. */
export const keptState = (): unknown => api.getState();

export function keepState(state: unknown): void {
  api.setState(state);
}
