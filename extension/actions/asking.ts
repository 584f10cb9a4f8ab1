import { CancellationTokenSource, commands, ProgressLocation, window } from 'vscode';
import { whyNoAnswer, type Answers } from '../answers.ts';
import type { Pages } from '../pages.ts';
import type { Proposals } from '../proposals/preview.ts';
import type { ChatAnswer, ChatParams, ModelInSight } from '../../sidecar/protocol.ts';

/** What actions work with. */
export interface Tools {
  readonly answers: Answers;
  readonly proposals: Proposals;
  readonly pages: Pages;
}

/** What an action asks. */
export interface Question extends Pick<ChatParams, 'messages' | 'uri'> {
  readonly attachments?: ChatParams['attachments'];
  readonly maxTokens: number;
}

const running = new Set<CancellationTokenSource>();

/** Ends what is being answered to actions. */
export function stopAnswers(): void {
  for (const source of running) source.cancel();
}

/**
 * Asks with progress that can be cancelled. Undefined where there is no answer: the user has cancelled, or been told why.
 * `onText` gets all of the text so far.
 */
export async function ask(
  { answers }: Tools,
  title: string,
  question: Question | ((model: ModelInSight) => Promise<Question>),
  onText?: (text: string) => void,
): Promise<ChatAnswer | undefined> {
  const source = new CancellationTokenSource();
  running.add(source);
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  try {
    return await window.withProgress(options, async (progress, token) => {
      token.onCancellationRequested(() => {
        source.cancel();
      });
      progress.report({ message: 'waiting for the model' });
      const model = await answers.model(source.token);
      if (source.token.isCancellationRequested) return undefined;
      if (!canAnswer(model)) return undefined;
      const asked = typeof question === 'function' ? await question(model) : question;
      let text = '';
      const answered = await answers.ask({ attachments: [], ...asked }, source.token, (news) => {
        if (news.kind === 'prefill') {
          progress.report({ message: `reading, ${news.done} of ${news.total} tokens` });
          return;
        }
        text += news.text;
        progress.report({ message: `writing, line ${text.split('\n').length}` });
        onText?.(text);
      });
      if (answered.kind === 'failed') complain(answered.message);
      return answered.kind === 'answer' ? answered.answer : undefined;
    });
  } catch (error) {
    // The model went while its tokens were counted.
    complain(error instanceof Error ? error.message : String(error));
    return undefined;
  } finally {
    running.delete(source);
    source.dispose();
  }
}

const complain = (message: string): void => {
  void offer(window.showErrorMessage(`No answer: ${message}`, 'Show Log'));
};

/** Says what to do where there is no model that answers. */
function canAnswer(model: ModelInSight | null): model is ModelInSight {
  const why = whyNoAnswer(model);
  if (why === undefined) return true;
  void offer(window.showErrorMessage(why, 'Choose Model', 'Show Log'));
  return false;
}

async function offer(choice: Thenable<'Choose Model' | 'Show Log' | undefined>): Promise<void> {
  const chosen = await choice;
  if (chosen === 'Show Log') await commands.executeCommand('sightline.showLog');
  if (chosen === 'Choose Model') {
    await commands.executeCommand('workbench.action.openSettings', '@id:sightline.model.path');
  }
}
