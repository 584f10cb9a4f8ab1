import { t } from '@vscode/l10n';
import type { NextEdit } from '../../sidecar/protocol.ts';

/** Stands in the text, on the cursor's line. */
export const hintOf = ({ range }: NextEdit): string => t('Tab: line {0}', range.start.line + 1);

/** What is offered and why, on one line. */
export function describeNextEdit({ range, newText, why }: NextEdit): string {
  const line = range.start.line + 1;
  return why.kind === 'rename'
    ? t('Next edit, line {0}: {1} is called {2} now.', line, why.from, why.to)
    : t('Next edit, line {0}: {1} takes other arguments now: {2}.', line, why.function, newText);
}

export const keysOfNextEdit = (): string => t('Tab accepts it, Escape dismisses it.');
