import { l10n } from 'vscode';
import type { Tools } from './asking.ts';
import { proposeChange } from './change.ts';
import { codeAt, type Place } from './place.ts';
import { documentPrompt } from './prompts.ts';

export const writeDocumentation = (tools: Tools, place: Place): Promise<void> =>
  proposeChange(tools, l10n.t('Sightline: documenting'), place, documentPrompt(codeAt(place)));
