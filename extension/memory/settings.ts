import { ConfigurationTarget, l10n, window, workspace, type Extension } from 'vscode';
import { z } from 'zod';
import { cacheProfileNames, cacheProfiles, type CacheProfileName } from '../../sidecar/protocol.ts';
import { setBesideProfile } from '../config.ts';
import type { CacheSettings, Choice, MemoryState } from './messages.ts';

const section = 'sightline.cache';

/** Settings may be anything that was written into a file. */
const settings = z.object({
  profile: z.enum(cacheProfileNames).catch('balanced'),
  policy: z.string().catch(''),
  tier: z.string().catch(''),
  budgetMiB: z.number().catch(0),
});

export function cacheSettings(): CacheSettings {
  const set = settings.parse(workspace.getConfiguration().get(section));
  const apart = setBesideProfile();
  const own = Object.fromEntries(apart.map((name) => [name, set[name]]));
  return { ...set, ...cacheProfiles[set.profile], ...own, apart };
}

/** Writes a setting of the cache where the user has it: in the workspace's settings, or else in their own. */
export const changeSetting = (name: string, value: string | number): Promise<void> =>
  write(name, value, targetOf(name));

/** Uses a profile. What is set apart would go before it, and is taken out of the settings: the user is told, and may undo it. */
export async function chooseProfile(profile: CacheProfileName): Promise<void> {
  const apart = setBesideProfile();
  const taken = apart.flatMap((name) => placesOf(name).map((place) => ({ name, ...place })));
  const target = targetOf('profile');
  const before = placesOf('profile').at(-1)?.value;
  for (const { name, target: from } of taken) await write(name, undefined, from);
  await write('profile', profile, target);
  if (taken.length === 0) return;
  const undo = l10n.t('Undo');
  const names = apart.map((name) => `${section}.${name}`).join(', ');
  const message = l10n.t('{0} would have gone before the profile: no longer set.', names);
  if ((await window.showInformationMessage(message, undo)) !== undo) return;
  for (const { name, value, target: to } of taken) await write(name, value, to);
  await write('profile', before, target);
}

const write = async (name: string, value: unknown, target: ConfigurationTarget): Promise<void> =>
  workspace.getConfiguration(section).update(name, value, target);

/** Where a setting is set, and what to; what goes before comes last. */
function placesOf(
  name: string,
): { readonly target: ConfigurationTarget; readonly value: unknown }[] {
  const { globalValue, workspaceValue } =
    workspace.getConfiguration(section).inspect<unknown>(name) ?? {};
  return [
    { target: ConfigurationTarget.Global, value: globalValue },
    { target: ConfigurationTarget.Workspace, value: workspaceValue },
  ].filter(({ value }) => value !== undefined);
}

const targetOf = (name: string): ConfigurationTarget =>
  placesOf(name).at(-1)?.target ?? ConfigurationTarget.Global;

const enumeration = z
  .object({ enum: z.array(z.string()), enumDescriptions: z.array(z.string()) })
  .transform((given): Choice[] =>
    given.enum.map((value, i) => ({ value, description: given.enumDescriptions[i] ?? '' })),
  );
const manifest = z.object({
  contributes: z.object({
    configuration: z.object({
      properties: z.object({
        [`${section}.profile`]: enumeration,
        [`${section}.policy`]: enumeration,
        [`${section}.tier`]: enumeration,
      }),
    }),
  }),
});

/** What the manifest offers for the settings. */
export function choicesOf(extension: Extension<unknown>): MemoryState['choices'] {
  const { properties } = manifest.parse(extension.packageJSON).contributes.configuration;
  return {
    profile: properties[`${section}.profile`],
    policy: properties[`${section}.policy`],
    tier: properties[`${section}.tier`],
  };
}
