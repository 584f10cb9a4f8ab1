import { CancellationTokenSource, l10n, ProgressLocation, window } from 'vscode';
import { whyNoAnswer, type Answers } from '../answers.ts';
import { offer } from '../requests.ts';
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

/** As much of an answer as actions use. */
export type Said = Pick<ChatAnswer, 'text' | 'finish'>;

const running = new Set<CancellationTokenSource>();

/** Ends what is being answered to actions. */
export function stopAnswers(): void {
  for (const source of running) source.cancel();
}

/**
 * Asks with progress that can be cancelled. Undefined where there is no answer: the user has cancelled, or been told why.
 * `isEnough` hears all of the text so far, and ends the answer where no more of it is wanted.
 */
export async function ask(
  { answers }: Tools,
  title: string,
  question: Question | ((model: ModelInSight) => Promise<Question>),
  isEnough: (text: string) => boolean = () => false,
): Promise<Said | undefined> {
  const source = new CancellationTokenSource();
  running.add(source);
  const options = { location: ProgressLocation.Notification, title, cancellable: true };
  try {
    return await window.withProgress(options, async (progress, token) => {
      token.onCancellationRequested(() => {
        source.cancel();
      });
      progress.report({ message: l10n.t('waiting for the model') });
      const model = await answers.model(source.token);
      if (source.token.isCancellationRequested) return undefined;
      if (!canAnswer(model)) return undefined;
      const asked = typeof question === 'function' ? await question(model) : question;
      let text = '';
      const answer = { isOver: false };
      const answered = await answers.ask(questionOf(asked), source.token, (news) => {
        if (news.kind === 'prefill') {
          progress.report({ message: l10n.t('reading, {0} of {1} tokens', news.done, news.total) });
          return;
        }
        text += news.text;
        progress.report({ message: l10n.t('writing, line {0}', text.split('\n').length) });
        answer.isOver ||= isEnough(text);
        if (answer.isOver) source.cancel();
      });
      if (answer.isOver) return { text, finish: 'end' };
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

/** What actions ask about is in their messages. */
const questionOf = (asked: Question): Omit<ChatParams, 'id'> => ({
  attachments: [],
  ...asked,
  ...(asked.uri === undefined ? {} : { quoted: asked.uri }),
});

const complain = (message: string): void => {
  void offer(
    (...choices) => window.showErrorMessage(l10n.t('No answer: {0}', message), ...choices),
    'showLog',
  );
};

/** Says what to do where there is no model that answers. */
function canAnswer(model: ModelInSight | null): model is ModelInSight {
  const why = whyNoAnswer(model);
  if (why === undefined) return true;
  void offer((...choices) => window.showErrorMessage(why, ...choices), 'chooseModel', 'showLog');
  return false;
}
