import { l10n } from 'vscode';
import { ask, type Tools } from './asking.ts';
import { codeAt, namePlace, type Place } from './place.ts';
import { explainPrompt } from './prompts.ts';

const maxTokens = 1024;
/** The page is written anew as often as this, in milliseconds. */
const paceMs = 100;

/** Writes an explanation onto a page, as it comes. */
export async function explain(tools: Tools, place: Place): Promise<void> {
  const heading = `# ${namePlace(place)}\n\n`;
  let shown: Promise<void> | undefined;
  let written = 0;
  const title = l10n.t('Sightline: explaining');
  const page = l10n.t('Explanation');
  const question = {
    messages: explainPrompt(codeAt(place)),
    uri: place.document.uri.toString(),
    maxTokens,
  };
  let latest = '';
  const answer = await ask(tools, title, question, (text) => {
    latest = text;
    if (performance.now() - written < paceMs) return false;
    written = performance.now();
    shown ??= tools.pages.show(page, heading);
    tools.pages.write(page, heading + text);
    return false;
  });
  if (answer === undefined && shown === undefined) return;
  const text = (answer?.text ?? latest).trimEnd();
  const remark = answer === undefined ? l10n.t('Stopped.') : l10n.t('The model wrote nothing.');
  const isComplete = answer !== undefined && text !== '';
  const end = isComplete ? text : `${text}\n\n*${remark}*`.trimStart();
  await (shown ?? tools.pages.show(page, heading));
  tools.pages.write(page, `${heading}${end}\n`);
}
