import { l10n, Uri, window } from 'vscode';
import { ask, type Tools } from './asking.ts';
import { filesOf, fitting } from './diff.ts';
import { repositoryOf, type Repository } from './git.ts';
import { commitMessageIn, commitPrompt } from './prompts.ts';

const maxTokens = 256;
/** What the prompt has besides the diff, about, in tokens. */
const promptTokens = 512;
const earlierCommits = 5;

/** Writes a message for what is staged into the box of the Git view. `from`: what a menu was opened on. */
export async function writeCommitMessage(tools: Tools, from: unknown): Promise<void> {
  const repository = await repositoryOf(rootOf(from) ?? window.activeTextEditor?.document.uri);
  if (repository === undefined) {
    void window.showInformationMessage(
      l10n.t(
        'There is no Git repository here. Open a folder that is one, with the Git extension of VS Code enabled.',
      ),
    );
    return;
  }
  const files = filesOf(await repository.diff(true));
  if (files.length === 0) {
    void window.showInformationMessage(
      l10n.t('Nothing is staged. Stage the changes that the message is to be about.'),
    );
    return;
  }
  const subjects = await subjectsOf(repository);
  const title = l10n.t('Sightline: writing the commit message');
  const answer = await ask(tools, title, async ({ contextTokens }) => {
    const sizes = await tools.answers.countTokens(files.map(({ text }) => text));
    const { diff, named } = fitting(files, sizes, contextTokens - maxTokens - promptTokens);
    if (named > 0) {
      void window.showInformationMessage(
        l10n.t(
          'The context has no room for all of the changes: of {0} of {1} files the model only sees the names.',
          named,
          files.length,
        ),
      );
    }
    return { messages: commitPrompt(diff, subjects), maxTokens };
  });
  if (answer === undefined) return;
  const message = commitMessageIn(answer.text);
  if (message === '') {
    void window.showInformationMessage(l10n.t('The model had nothing to say about these changes.'));
    return;
  }
  await fill(repository, message);
}

/** What is in the box goes only if the user wants it to. */
async function fill({ inputBox }: Repository, message: string): Promise<void> {
  if (inputBox.value.trim() !== '' && inputBox.value !== message) {
    const question = l10n.t('Replace the commit message that is there? The new one: {0}', message);
    const replace = l10n.t('Replace');
    if ((await window.showWarningMessage(question, replace, l10n.t('Keep'))) !== replace) return;
  }
  inputBox.value = message;
}

/** A repository without commits has no earlier ones. */
const subjectsOf = async (repository: Repository): Promise<readonly string[]> => {
  const commits = await repository.log({ maxEntries: earlierCommits }).catch(() => []);
  return commits.map(({ message }) => message.split('\n', 1)[0] ?? '');
};

const rootOf = (from: unknown): Uri | undefined =>
  typeof from === 'object' && from !== null && 'rootUri' in from && from.rootUri instanceof Uri
    ? from.rootUri
    : undefined;
