import { commands, l10n, window, type Disposable, type SecretStorage } from 'vscode';

const name = 'sightline.huggingFaceToken';

/** The user's token for the hub: in the editor's secret storage, and nowhere else. */
export class HubToken {
  readonly #secrets: SecretStorage;

  constructor(secrets: SecretStorage) {
    this.#secrets = secrets;
  }

  async get(): Promise<string | undefined> {
    const token = await this.#secrets.get(name);
    return token === '' ? undefined : token;
  }

  /** Asks for it; an empty one deletes it. False: the user changed nothing. */
  async ask(): Promise<boolean> {
    const typed = await window.showInputBox({
      title: l10n.t('Hugging Face Token'),
      prompt: l10n.t(
        'A token that may read models, from huggingface.co/settings/tokens. It is kept in the secret storage of the editor. Empty: the token is deleted.',
      ),
      password: true,
      ignoreFocusOut: true,
      validateInput: (text) =>
        /^[\x21-\x7e]*$/.test(text.trim()) ? undefined : l10n.t('This is no token.'),
    });
    if (typed === undefined) return false;
    const token = typed.trim();
    if (token === '') await this.#secrets.delete(name);
    else await this.#secrets.store(name, token);
    return true;
  }

  register(): Disposable {
    return commands.registerCommand('sightline.setHuggingFaceToken', async () => {
      if (!(await this.ask())) return;
      const kept = (await this.get()) !== undefined;
      void window.showInformationMessage(
        kept ? l10n.t('The token is kept.') : l10n.t('The token is deleted.'),
      );
    });
  }
}
