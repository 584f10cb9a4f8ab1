import { l10n, window } from 'vscode';
import type { Tools } from './asking.ts';
import { proposeChange } from './change.ts';
import { codeAt, namePlace, type Place } from './place.ts';
import { refactorPrompt } from './prompts.ts';

/** Proposes a change as the user says; `instruction` where that is known already. */
export async function refactor(tools: Tools, place: Place, instruction?: string): Promise<void> {
  const wanted =
    instruction ??
    (await window.showInputBox({
      title: l10n.t('Refactor {0}', namePlace(place)),
      prompt: l10n.t('What is to be changed?'),
      placeHolder: l10n.t('Use a map instead of the loop'),
    }));
  if (wanted === undefined || wanted.trim() === '') return;
  const prompt = refactorPrompt(codeAt(place), wanted);
  await proposeChange(tools, l10n.t('Sightline: refactoring'), place, prompt);
}
