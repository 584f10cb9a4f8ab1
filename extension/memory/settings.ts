import { ConfigurationTarget, workspace, type Extension } from 'vscode';
import { z } from 'zod';
import type { CacheSettings, Choice, MemoryState } from './messages.ts';

const section = 'sightline.cache';

/** Settings may be anything that was written into a file. */
const settings = z.object({
  policy: z.string().catch(''),
  tier: z.string().catch(''),
  budgetMiB: z.number().catch(0),
});

export const cacheSettings = (): CacheSettings =>
  settings.parse(workspace.getConfiguration().get(section));

/** Writes a setting of the cache where the user has it: in the workspace's settings, or else in their own. */
export async function changeSetting(name: string, value: string | number): Promise<void> {
  const configuration = workspace.getConfiguration(section);
  const isWorkspaces = configuration.inspect(name)?.workspaceValue !== undefined;
  const target = isWorkspaces ? ConfigurationTarget.Workspace : ConfigurationTarget.Global;
  await configuration.update(name, value, target);
}

const enumeration = z
  .object({ enum: z.array(z.string()), enumDescriptions: z.array(z.string()) })
  .transform((given): Choice[] =>
    given.enum.map((value, i) => ({ value, description: given.enumDescriptions[i] ?? '' })),
  );
const manifest = z.object({
  contributes: z.object({
    configuration: z.object({
      properties: z.object({
        [`${section}.policy`]: enumeration,
        [`${section}.tier`]: enumeration,
      }),
    }),
  }),
});

/** What the manifest offers for the settings. */
export function choicesOf(extension: Extension<unknown>): MemoryState['choices'] {
  const { properties } = manifest.parse(extension.packageJSON).contributes.configuration;
  return { policy: properties[`${section}.policy`], tier: properties[`${section}.tier`] };
}
