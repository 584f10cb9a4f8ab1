import type { ExtensionContext } from 'vscode';
import { Ctx, type Api } from './ctx.ts';

let ctx: Ctx | undefined;

/** The sidecar starts in the background: the editor does not wait for it. */
export function activate(context: ExtensionContext): Api {
  ctx = new Ctx(context);
  void ctx.start();
  return ctx.api;
}

export async function deactivate(): Promise<void> {
  await ctx?.stop();
  ctx = undefined;
}
