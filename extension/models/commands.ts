import {
  commands,
  ConfigurationTarget,
  Disposable,
  env,
  l10n,
  QuickPickItemKind,
  Uri,
  window,
  workspace,
  type ExtensionContext,
  type QuickPickItem,
} from 'vscode';
import {
  LSPErrorCodes,
  ResponseError,
  State,
  type LanguageClient,
} from 'vscode-languageclient/node';
import {
  DownloadModelRequest,
  InspectModelRequest,
  ListModelsRequest,
  ServerTokenNotification,
  type ModelList,
  type PublishedFile,
  type PublishedModel,
} from '../../sidecar/protocol.ts';
import { orTell, showingProgress } from '../requests.ts';
import { downloadItems, fileItems, modelItems, type Choice, type Item } from './items.ts';
import { hubToken, serverToken, Token } from './token.ts';

/** What "Download Model" may be called with, from a key binding or a link: then nothing is asked but what is missing. */
interface DownloadArguments {
  readonly repository: string;
  readonly file?: string;
  /** Whether the model is used then, without being asked. */
  readonly use?: boolean;
}

/** A repository on the hub, and which of its files. */
interface Target {
  readonly repository: string;
  readonly quantisation: string;
}

/** Tells the sidecar the token of the team's server, whenever it starts and whenever that changes. */
function registerServerToken(client: LanguageClient, { secrets }: ExtensionContext): Disposable[] {
  const token = new Token(secrets, serverToken());
  const tell = async (): Promise<void> => {
    if (client.state !== State.Running) return;
    await client.sendNotification(ServerTokenNotification, { token: (await token.get()) ?? '' });
  };
  return [
    token.register(),
    token.onDidChange(() => void tell()),
    Disposable.from(client.onDidChangeState(() => void tell())),
  ];
}

/** The commands that choose models and bring them. */
export function registerModels(client: LanguageClient, context: ExtensionContext): Disposable[] {
  const models = new ModelCommands(client, context);
  return [
    ...registerServerToken(client, context),
    models.token.register(),
    commands.registerCommand('sightline.chooseModel', (path?: unknown) =>
      typeof path === 'string' ? models.use(path) : models.choose(),
    ),
    commands.registerCommand('sightline.downloadModel', (given?: unknown) =>
      isDownload(given) ? models.fetch(given) : models.chooseDownload(),
    ),
  ];
}

const isDownload = (given: unknown): given is DownloadArguments =>
  typeof given === 'object' &&
  given !== null &&
  'repository' in given &&
  typeof given.repository === 'string' &&
  (!('file' in given) || typeof given.file === 'string');

/** Under this name the paths of files that were browsed for are remembered. */
const addedKey = 'sightline.addedModels';

const pathSetting = 'model.path';

class ModelCommands {
  readonly token: Token;
  readonly #client: LanguageClient;
  readonly #context: ExtensionContext;

  constructor(client: LanguageClient, context: ExtensionContext) {
    this.#client = client;
    this.#context = context;
    this.token = new Token(context.secrets, hubToken());
  }

  async choose(): Promise<void> {
    const list = await this.#list();
    if (list === undefined) return;
    const inUse = pathInUse();
    const bundled = list.local.find(({ source }) => source === 'bundled')?.path ?? '';
    const items = modelItems(list, inUse === '' ? bundled : inUse);
    const choice = await pick(
      items,
      l10n.t('Choose Model'),
      l10n.t('Models by name, file, size …'),
    );
    await this.#act(choice, bundled);
  }

  async chooseDownload(): Promise<void> {
    const list = await this.#list();
    if (list === undefined) return;
    const items = downloadItems(list.catalogue);
    await this.#act(await pick(items, l10n.t('Download Model'), list.folder), '');
  }

  async #act(choice: Choice | undefined, bundled: string): Promise<void> {
    switch (choice?.kind) {
      case undefined:
        return;
      case 'use':
        return this.use(choice.path === bundled ? '' : choice.path);
      case 'browse':
        return this.#browse();
      case 'repository':
        return this.#askRepository();
      case 'download': {
        const { name, repository, quantisation, licence, restriction } = choice.model;
        if (restriction !== undefined && !(await agrees(name, licence, restriction))) return;
        return this.#download({ repository, quantisation });
      }
    }
  }

  async #list(): Promise<ModelList | undefined> {
    const inUse = pathInUse();
    const paths = [...this.#added(), ...(inUse === '' ? [] : [inUse])];
    return orTell(() => this.#client.sendRequest(ListModelsRequest, { paths }));
  }

  #added(): readonly string[] {
    return this.#context.globalState.get<readonly string[]>(addedKey, []);
  }

  /** The sidecar loads it as soon as the setting has changed. Empty: the bundled one. */
  async use(path: string): Promise<void> {
    const settings = workspace.getConfiguration('sightline');
    // Where the workspace has a model of its own, the user's would not be seen.
    const own = settings.inspect<string>(pathSetting)?.workspaceValue !== undefined;
    const target = own ? ConfigurationTarget.Workspace : ConfigurationTarget.Global;
    const value = path === '' && !own ? undefined : path;
    await settings.update(pathSetting, value, target);
  }

  async #browse(): Promise<void> {
    const [chosen] =
      (await window.showOpenDialog({
        title: l10n.t('Choose Model'),
        filters: { GGUF: ['gguf'] },
      })) ?? [];
    if (chosen === undefined) return;
    const path = chosen.fsPath;
    const list = await orTell(() => this.#client.sendRequest(ListModelsRequest, { paths: [path] }));
    const found = list?.local.find((model) => model.path === path);
    if (found === undefined) {
      // Of a split model only the first part is one.
      void window.showErrorMessage(l10n.t('{0} is no model, or not its first part.', path));
    } else if (found.problem !== undefined) {
      void window.showErrorMessage(found.problem);
    } else {
      const added = [...new Set([...this.#added(), path])];
      await this.#context.globalState.update(addedKey, added);
      await this.use(path);
    }
  }

  async #askRepository(): Promise<void> {
    const typed = await window.showInputBox({
      title: l10n.t('Download Model'),
      prompt: l10n.t('A repository with GGUF files, or the address of its page.'),
      placeHolder: 'Qwen/Qwen2.5-Coder-7B-Instruct-GGUF',
      validateInput: (text) =>
        repositoryIn(text) === undefined ? l10n.t('It must be like owner/name.') : undefined,
    });
    const repository = repositoryIn(typed ?? '');
    if (repository !== undefined) await this.#download({ repository, quantisation: 'Q4_K_M' });
  }

  async #download(target: Target): Promise<void> {
    const { repository, quantisation } = target;
    const again = (): Promise<void> => this.#download(target);
    const found = await this.#orOffer(again, repository, () => this.#inspect(repository));
    if (found === undefined) return;
    const title = found.licence === undefined ? found.name : `${found.name} (${found.licence})`;
    const file = await pick(fileItems(found, quantisation), title, repository);
    if (file !== undefined) await this.#fetch(repository, file, false);
  }

  /** Downloads what it is told to. */
  async fetch({ repository, file, use = false }: DownloadArguments): Promise<void> {
    if (file === undefined) return this.#download({ repository, quantisation: 'Q4_K_M' });
    await this.#fetch(repository, { file }, use);
  }

  async #inspect(repository: string): Promise<PublishedModel> {
    const title = l10n.t('Sightline: looking at {0}', repository);
    const secret = await this.#secret();
    return showingProgress(this.#client, title, (_workDoneToken, cancelled) =>
      this.#client.sendRequest(InspectModelRequest, { repository, ...secret }, cancelled),
    );
  }

  async #fetch(
    repository: string,
    { file, path }: Pick<PublishedFile, 'file' | 'path'>,
    use: boolean,
  ): Promise<void> {
    if (path !== undefined) return this.use(path);
    const again = (): Promise<void> => this.#fetch(repository, { file }, use);
    const secret = await this.#secret();
    const done = await this.#orOffer(again, repository, () =>
      showingProgress(
        this.#client,
        l10n.t('Sightline: downloading {0}', file),
        (workDoneToken, cancelled) => {
          const asked = { repository, file, workDoneToken, ...secret };
          return this.#client.sendRequest(DownloadModelRequest, asked, cancelled);
        },
      ),
    );
    if (done === undefined) return;
    if (use) return this.use(done.path);
    void this.#offerUse(file, done.path);
  }

  async #offerUse(file: string, path: string): Promise<void> {
    const yes = l10n.t('Use It');
    const chosen = await window.showInformationMessage(
      l10n.t('{0} is on this machine.', file),
      yes,
    );
    if (chosen === yes) await this.use(path);
  }

  async #secret(): Promise<{ token?: string }> {
    const token = await this.token.get();
    return token === undefined ? {} : { token };
  }

  /** Where the hub refuses or cannot be reached, the user is told and may try again; what has arrived is still there then. */
  async #orOffer<T>(
    again: () => Promise<void>,
    repository: string,
    ask: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof ResponseError && error.code === LSPErrorCodes.RequestCancelled) {
        return undefined;
      }
      const data: unknown = error instanceof ResponseError ? error.data : undefined;
      void this.#explain(error, data, again, repository);
      return undefined;
    }
  }

  async #explain(
    error: unknown,
    data: unknown,
    again: () => Promise<void>,
    repository: string,
  ): Promise<void> {
    const message = error instanceof Error ? error.message : String(error);
    const retry = l10n.t('Try Again');
    const setToken = l10n.t('Set Token');
    const openPage = l10n.t('Open Its Page');
    const isDenied =
      typeof data === 'object' && data !== null && 'code' in data && data.code === 'ACCESS_DENIED';
    const choices = isDenied ? [setToken, openPage] : [retry];
    const chosen = await window.showErrorMessage(message, ...choices);
    if (chosen === retry) await again();
    if (chosen === setToken && (await this.token.ask())) await again();
    if (chosen === openPage) {
      await env.openExternal(Uri.parse(`https://huggingface.co/${repository}`));
    }
  }
}

const pathInUse = (): string => {
  const path = workspace.getConfiguration('sightline').get<unknown>(pathSetting);
  return typeof path === 'string' ? path : '';
};

/** `owner/name`, as it is or in an address. */
function repositoryIn(text: string): string | undefined {
  const found = /^(?:https:\/\/[^/]+\/)?([\w-][\w.-]*\/[\w-][\w.-]*)(?:\/.*)?$/.exec(text.trim());
  return found?.[1];
}

async function agrees(name: string, licence: string, restriction: string): Promise<boolean> {
  const go = l10n.t('Download');
  const chosen = await window.showWarningMessage(
    l10n.t('{0} has the licence {1}.', name, licence),
    { modal: true, detail: restriction },
    go,
  );
  return chosen === go;
}

async function pick<T>(
  items: readonly Item<T>[],
  title: string,
  placeHolder: string,
): Promise<T | undefined> {
  const shown = items.map(({ choice, ...item }): QuickPickItem & { choice?: T } =>
    choice === undefined ? { ...item, kind: QuickPickItemKind.Separator } : { ...item, choice },
  );
  const chosen = await window.showQuickPick(shown, {
    title,
    placeHolder,
    matchOnDescription: true,
    matchOnDetail: true,
  });
  return chosen?.choice;
}
