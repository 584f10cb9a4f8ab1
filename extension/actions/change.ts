import { l10n, window } from 'vscode';
import type { ChatMessage } from '../../sidecar/protocol.ts';
import { linesOf } from '../proposals/hunks.ts';
import { ask, type Tools } from './asking.ts';
import { firstCodeBlock, replacementFor } from './code.ts';
import { codeAt, type Place } from './place.ts';

/** The least that is kept free for an answer, in tokens. */
const leastTokens = 512;

/** Asks for other lines in place of these, and proposes them. */
export async function proposeChange(
  tools: Tools,
  title: string,
  place: Place,
  messages: readonly ChatMessage[],
): Promise<void> {
  const { document, first, last } = place;
  const before = document.getText();
  const { lines } = codeAt(place);
  const code = await askForCode(tools, title, async () => {
    const [size = 0] = await tools.answers.countTokens([lines.join('\n')]);
    const maxTokens = Math.max(leastTokens, 2 * size);
    return { messages, uri: document.uri.toString(), maxTokens };
  });
  if (code === undefined) return;
  const all = linesOf(before);
  const after = [...all.slice(0, first), ...replacementFor(lines, code), ...all.slice(last + 1)];
  if (!(await tools.proposals.propose(document.uri, before, after.join('\n')))) {
    void window.showInformationMessage(l10n.t('Sightline would leave these lines as they are.'));
  }
}

/**
 * The lines of code in the answer, which ends with them. Undefined where there are none that can be used, which the user is
 * told.
 */
export async function askForCode(
  tools: Tools,
  title: string,
  question: Parameters<typeof ask>[2],
): Promise<readonly string[] | undefined> {
  // In whole lines: what looks like the end of the block may go on.
  const isEnough = (text: string): boolean =>
    firstCodeBlock(text.slice(0, text.lastIndexOf('\n') + 1))?.isWhole === true;
  const answer = await ask(tools, title, question, isEnough);
  if (answer === undefined) return undefined;
  const { text, finish } = answer;
  const block = firstCodeBlock(text);
  const isCutOff = block?.isWhole === false && finish !== 'end';
  if (block !== undefined && !isCutOff && block.code.some((line) => line.trim() !== '')) {
    return block.code;
  }
  const why = isCutOff
    ? l10n.t(
        'Nothing was changed: the answer was cut off, since it would not end. Ask for less at a time.',
      )
    : l10n.t('Nothing was changed: the answer has no code in it.');
  await tools.pages.show(l10n.t('Answer'), `# ${title}\n\n> ${why}\n\n${text}\n`);
  return undefined;
}
