import { l10n, languages, window, type Diagnostic, type Range } from 'vscode';
import type { Tools } from './asking.ts';
import { proposeChange } from './change.ts';
import { codeAt, type Place } from './place.ts';
import { fixPrompt } from './prompts.ts';

/** The most problems that are asked about at once: the worst ones. */
const mostProblems = 10;

/** Proposes a change that solves the problems shown in `asked`, or else in all of the place. */
export async function fix(tools: Tools, place: Place, asked: Range): Promise<void> {
  const { document, first, last } = place;
  const inPlace = languages
    .getDiagnostics(document.uri)
    .filter(({ range }) => range.start.line <= last && range.end.line >= first);
  const inRange = inPlace.filter(({ range }) => range.intersection(asked) !== undefined);
  const problems = [...(inRange.length > 0 ? inRange : inPlace)].sort(
    (a, b) => a.severity - b.severity || a.range.start.compareTo(b.range.start),
  );
  if (problems.length === 0) {
    void window.showInformationMessage(
      l10n.t('There are no problems in these lines. Select some that have.'),
    );
    return;
  }
  const described = problems.slice(0, mostProblems).map((one) => problemIn(place, one));
  await proposeChange(
    tools,
    l10n.t('Sightline: fixing'),
    place,
    fixPrompt(codeAt(place), described),
  );
}

const problemIn = ({ first }: Place, { range, message, source }: Diagnostic) => ({
  line: Math.max(1, range.start.line - first + 1),
  message,
  ...(source === undefined ? {} : { source }),
});
