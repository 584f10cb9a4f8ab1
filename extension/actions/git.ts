import { extensions, type Uri } from 'vscode';

/** What is used of the interface of VS Code's Git extension, version 1. */
interface GitExtension {
  readonly enabled: boolean;
  getAPI(version: 1): {
    readonly repositories: readonly Repository[];
    getRepository(uri: Uri): Repository | null;
  };
}

export interface Repository {
  readonly rootUri: Uri;
  readonly inputBox: { value: string };
  /** `cached`: of what is staged. */
  diff(cached?: boolean): Promise<string>;
  log(options: { readonly maxEntries: number }): Promise<readonly { readonly message: string }[]>;
}

/** The repository that `uri` is in, or else the only one; undefined without the Git extension, too. */
export async function repositoryOf(uri: Uri | undefined): Promise<Repository | undefined> {
  const extension = extensions.getExtension<GitExtension>('vscode.git');
  if (extension === undefined) return undefined;
  const git = await extension.activate();
  if (!git.enabled) return undefined;
  const api = git.getAPI(1);
  const around = uri === undefined ? null : api.getRepository(uri);
  return around ?? (api.repositories.length === 1 ? api.repositories[0] : undefined);
}
