import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { z } from 'zod';
import { openPage } from '../../../extension/webview/page.ts';
import { extension } from './sightline.ts';

const schema = z.strictObject({ kind: z.literal('ready') });
interface Messages {
  readonly fromPage: z.infer<typeof schema>;
  readonly toPage: { readonly text: string };
}

describe('a page of a webview', () => {
  it('loads from two folders of the extension, and is heard only where it says what is agreed', () => {
    const { extensionUri } = extension();
    const heard: unknown[] = [];
    const log = vscode.window.createOutputChannel('Webview test', { log: true });
    const warnings: string[] = [];
    const panel = vscode.window.createWebviewPanel('sightline.test', 'Test', {
      viewColumn: vscode.ViewColumn.Active,
      preserveFocus: true,
    });
    const said = new vscode.EventEmitter<unknown>();
    // What a page says is made up here; all else is VS Code's.
    const webview: vscode.Webview = {
      get options() {
        return panel.webview.options;
      },
      set options(options) {
        panel.webview.options = options;
      },
      get html() {
        return panel.webview.html;
      },
      set html(html) {
        panel.webview.html = html;
      },
      cspSource: panel.webview.cspSource,
      asWebviewUri: (uri) => panel.webview.asWebviewUri(uri),
      onDidReceiveMessage: said.event,
      postMessage: (message) => panel.webview.postMessage(message),
    };
    try {
      openPage<Messages>(webview, {
        name: 'memory',
        extensionUri,
        first: () => '<p>Soon</p>',
        schema,
        receive: (message) => heard.push(message),
        log: { ...log, warn: (message: string) => warnings.push(message) },
      });
      const roots = webview.options.localResourceRoots?.map(({ path }) => path);
      const expected = ['dist/webview', 'media'].map((name) => `${extensionUri.path}/${name}`);
      assert.deepEqual(roots, expected);
      assert.match(webview.html, /default-src 'none'/);

      for (const message of [undefined, 'ready', {}, { kind: 'other' }, { kind: 'ready', more: 1 }])
        said.fire(message);
      assert.deepEqual(heard, []);
      assert.equal(warnings.length, 5);
      said.fire({ kind: 'ready' });
      assert.deepEqual(heard, [{ kind: 'ready' }]);
    } finally {
      panel.dispose();
      log.dispose();
      said.dispose();
    }
  });
});
