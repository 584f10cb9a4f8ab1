import { workspace, type TextDocument } from 'vscode';

/**
 * The user's `sightline` settings as they are: the sidecar checks them and says what is wrong with
 * them. Tracing is the client's own business.
 */
export function sidecarSettings(): unknown {
  const settings = workspace.getConfiguration().get<Record<string, unknown>>('sightline', {});
  return Object.fromEntries(Object.entries(settings).filter(([name]) => name !== 'trace'));
}

export const isEnabledFor = (document: TextDocument): boolean =>
  workspace.getConfiguration('sightline', document).get('enable', true);
