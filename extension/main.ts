import * as translations from '@vscode/l10n';
import { l10n, type ExtensionContext } from 'vscode';
import { Ctx, type Api } from './ctx.ts';

let ctx: Ctx | undefined;

/** The sidecar starts in the background: the editor does not wait for it. */
export function activate(context: ExtensionContext): Api {
  // What knows nothing of VS Code, and pages, say things by @vscode/l10n.
  translations.config({ contents: l10n.bundle ?? {} });
  ctx = new Ctx(context);
  void ctx.start();
  return ctx.api;
}

export async function deactivate(): Promise<void> {
  await ctx?.stop();
  ctx = undefined;
}
