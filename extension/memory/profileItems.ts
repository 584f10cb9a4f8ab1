import * as l10n from '@vscode/l10n';
import {
  cacheProfileNames,
  type CacheProfileName,
  type MemoryForecast,
} from '../../sidecar/protocol.ts';
import { describeProfile } from '../describe.ts';
import type { CacheSettings, Choice } from './messages.ts';

export interface ProfileItem {
  readonly label: string;
  readonly description: string;
  readonly detail: string;
  readonly profile: CacheProfileName;
}

/** The profiles with what each does, takes and costs. `forecast` null: no model is loaded, or its cache is llama.cpp's own. */
export function profileItems(
  choices: readonly Choice[],
  { profile: current, apart }: CacheSettings,
  forecast: MemoryForecast | null,
): ProfileItem[] {
  const first = apart.map((name) => `sightline.cache.${name}`);
  if (forecast !== null && forecast.overridden.length > 0) first.push('sightline.model.overrides');
  return cacheProfileNames.map((profile) => {
    const isCurrent = profile === current;
    return {
      profile,
      label: isCurrent ? `$(check) ${profile}` : profile,
      description:
        isCurrent && first.length > 0 ? l10n.t('in use, but for {0}', first.join(', ')) : '',
      detail: [
        choices.find(({ value }) => value === profile)?.description,
        forecast === null ? undefined : describeProfile(profile, forecast),
      ]
        .filter((text) => text !== undefined)
        .join(' '),
    };
  });
}
