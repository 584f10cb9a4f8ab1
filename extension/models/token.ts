import { commands, l10n, window, type Disposable, type Event, type SecretStorage } from 'vscode';

/** What a secret is called in the storage, and how the user is asked for it. */
interface SecretName {
  readonly key: string;
  readonly command: string;
  readonly title: string;
  readonly prompt: string;
}

/** For models that are not public. */
export const hubToken = (): SecretName => ({
  key: 'sightline.huggingFaceToken',
  command: 'sightline.setHuggingFaceToken',
  title: l10n.t('Hugging Face Token'),
  prompt: l10n.t(
    'A token that may read models, from huggingface.co/settings/tokens. It is kept in the secret storage of the editor. Empty: the token is deleted.',
  ),
});

/** For the server of `sightline.server.url`. */
export const serverToken = (): SecretName => ({
  key: 'sightline.serverToken',
  command: 'sightline.setServerToken',
  title: l10n.t('Server Token'),
  prompt: l10n.t(
    'The API key of the server in sightline.server.url. It is kept in the secret storage of the editor, and sent to that server only. Empty: the token is deleted.',
  ),
});

/** A token of the user's: in the editor's secret storage, and nowhere else. */
export class Token {
  readonly #secrets: SecretStorage;
  readonly #name: SecretName;

  constructor(secrets: SecretStorage, name: SecretName) {
    this.#secrets = secrets;
    this.#name = name;
  }

  async get(): Promise<string | undefined> {
    const token = await this.#secrets.get(this.#name.key);
    return token === '' ? undefined : token;
  }

  /** Also when another window changes it. */
  onDidChange(listener: () => void): Disposable {
    const changed: Event<{ readonly key: string }> = this.#secrets.onDidChange;
    return changed(({ key }) => {
      if (key === this.#name.key) listener();
    });
  }

  /** Asks for it; an empty one deletes it. False: the user changed nothing. */
  async ask(): Promise<boolean> {
    const typed = await window.showInputBox({
      title: this.#name.title,
      prompt: this.#name.prompt,
      password: true,
      ignoreFocusOut: true,
      validateInput: (text) =>
        /^[\x21-\x7e]*$/.test(text.trim()) ? undefined : l10n.t('This is no token.'),
    });
    if (typed === undefined) return false;
    const token = typed.trim();
    if (token === '') await this.#secrets.delete(this.#name.key);
    else await this.#secrets.store(this.#name.key, token);
    return true;
  }

  register(): Disposable {
    return commands.registerCommand(this.#name.command, async () => {
      if (!(await this.ask())) return;
      const kept = (await this.get()) !== undefined;
      void window.showInformationMessage(
        kept ? l10n.t('The token is kept.') : l10n.t('The token is deleted.'),
      );
    });
  }
}
