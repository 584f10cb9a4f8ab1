import { isAbsolute, relative, sep } from 'node:path';
import { URI } from 'vscode-uri';

/** A folder that the editor has open. */
export interface Folder {
  /** Without a slash at the end, as far as the editor sends it so. */
  readonly uri: string;
  readonly name: string;
}

/** What the model is told the repository is called; empty where there are several, whose files are called by theirs. */
export const repositoryOf = (folders: readonly Folder[]): string =>
  folders.length === 1 ? (folders[0]?.name ?? '') : '';

/** The path of a file on this machine; undefined for a URI of anything else. */
export function pathOf(uri: string): string | undefined {
  const parsed = parse(uri);
  return parsed?.scheme === 'file' ? parsed.fsPath : undefined;
}

/** As the editor writes it. */
export const uriOf = (path: string): string => URI.file(path).toString();

/** Whether a path lies in a folder; both absolute. */
export function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

/** The innermost of the folders that a file lies in, as a path. */
export function folderOf(folders: readonly Folder[], path: string): string | undefined {
  return folders
    .map(({ uri }) => pathOf(uri))
    .filter((folder) => folder !== undefined)
    .filter((folder) => isWithin(path, folder))
    .sort((a, b) => b.length - a.length)[0];
}

/**
 * What the model is told a file is called: its path from the folder it lies in, after that folder's name where there are
 * several; elsewhere the last part of its URI.
 */
export function nameIn(folders: readonly Folder[], uri: string): string {
  const path = parse(uri)?.path ?? uri;
  const [folder] = folders
    .map((one) => ({ name: one.name, path: `${parse(one.uri)?.path.replace(/\/$/, '') ?? ''}/` }))
    .filter((one) => path.startsWith(one.path) && one.path.length > 1)
    .sort((a, b) => b.path.length - a.path.length);
  if (folder === undefined) return /[^/:]*$/.exec(path)?.[0] ?? '';
  const inside = path.slice(folder.path.length);
  return folders.length > 1 ? `${folder.name}/${inside}` : inside;
}

function parse(uri: string): URI | undefined {
  try {
    return URI.parse(uri);
  } catch {
    return undefined;
  }
}
