import { workspace, type TextDocument } from 'vscode';

/** What a profile of the cache stands for; what is set of it goes before the profile. */
const ofProfile = ['policy', 'tier'] as const;

/** Of what the profile stands for, what somebody has set. */
export function setBesideProfile(): (typeof ofProfile)[number][] {
  const settings = workspace.getConfiguration('sightline.cache');
  return ofProfile.filter((name) => {
    const { globalValue, workspaceValue } = settings.inspect(name) ?? {};
    return globalValue !== undefined || workspaceValue !== undefined;
  });
}

/**
 * The user's `sightline` settings as they are: the sidecar checks them and says what is wrong with
 * them. What is left to the profile of the cache is left out. Tracing is the client's own business.
 */
export function sidecarSettings(): unknown {
  const settings = workspace.getConfiguration().get<Group>('sightline', {});
  const { cache } = settings;
  const own = new Set<string>(setBesideProfile());
  const left = ofProfile.filter((name) => !own.has(name));
  const sent = without(settings, 'trace');
  return isGroup(cache) ? { ...sent, cache: without(cache, ...left) } : sent;
}

type Group = Readonly<Record<string, unknown>>;

const isGroup = (value: unknown): value is Group => typeof value === 'object' && value !== null;

const without = (group: Group, ...names: readonly string[]): Group =>
  Object.fromEntries(Object.entries(group).filter(([name]) => !names.includes(name)));

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
