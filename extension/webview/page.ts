import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { env, l10n, Uri, type LogOutputChannel, type Webview } from 'vscode';
import { z } from 'zod';
import { pageHtml } from './html.ts';
import type { Messages } from './messages.ts';

export interface PageOptions<M extends Messages> {
  /** Of its script and its style sheet in dist/webview: the name of the folder that its `view/` is in. */
  readonly name: string;
  readonly extensionUri: Uri;
  /** HTML that is seen until the page draws. */
  readonly first: () => string;
  /** What the page may say; anything else is logged and ignored. */
  readonly schema: z.ZodType<M['fromPage']>;
  readonly receive: (message: M['fromPage']) => void;
  readonly log: LogOutputChannel;
}

export interface Page<M extends Messages> {
  /** May not be called once the webview is disposed of. */
  readonly tell: (message: M['toPage']) => void;
  /** Makes the page anew, which starts with what is `first` now. */
  readonly renew: () => void;
}

/**
 * Makes a page of a webview, in a view or in a panel. A page is made anew whenever it comes into sight, and loses what it
 * was told before it listens: the first thing it says is that it is ready, and what it is to show is sent then.
 */
export function openPage<M extends Messages>(
  webview: Webview,
  { name, extensionUri, first, schema, receive, log }: PageOptions<M>,
): Page<M> {
  const bundles = Uri.joinPath(extensionUri, 'dist/webview');
  webview.options = {
    enableScripts: true,
    localResourceRoots: [bundles, Uri.joinPath(extensionUri, 'media')],
  };
  webview.onDidReceiveMessage((message: unknown) => {
    const { success, data, error } = schema.safeParse(message);
    if (success) receive(data);
    else log.warn(`The page "${name}" said what nobody understands`, z.prettifyError(error));
  });
  const styles = readFileSync(Uri.joinPath(bundles, `${name}.css`).fsPath, 'utf8');
  const renew = (): void => {
    webview.html = pageHtml({
      resource: (file) => webview.asWebviewUri(Uri.joinPath(bundles, file)).toString(),
      name,
      source: webview.cspSource,
      nonce: randomBytes(16).toString('base64'),
      language: env.language,
      styles,
      first: first(),
      strings: JSON.stringify(l10n.bundle ?? {}),
    });
  };
  renew();
  return {
    tell: (message) => {
      void webview.postMessage(message);
    },
    renew,
  };
}
