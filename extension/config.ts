import { workspace, type TextDocument } from 'vscode';

/**
 * The user's `sightline` settings as they are: the sidecar checks them and says what is wrong with
 * them. Tracing is the client's own business.
 */
export function sidecarSettings(): unknown {
  const settings = workspace.getConfiguration().get<Record<string, unknown>>('sightline', {});
  return Object.fromEntries(Object.entries(settings).filter(([name]) => name !== 'trace'));
}

/**
 * How the sidecar reaches the network when the user asks it to: by the editor's proxy, and with the system's certificates, as
 * far as its runtime knows how (Node 22.21).
 */
export function networkEnvironment(): Record<string, string> {
  const proxy = workspace.getConfiguration('http').get<unknown>('proxy');
  return {
    NODE_USE_ENV_PROXY: '1',
    NODE_USE_SYSTEM_CA: '1',
    ...(typeof proxy === 'string' && proxy !== '' ? { HTTPS_PROXY: proxy } : {}),
  };
}

export const isEnabledFor = (document: TextDocument): boolean =>
  workspace.getConfiguration('sightline', document).get('enable', true);
