import fuzzysort from 'fuzzysort';
import {
  FileType,
  RelativePattern,
  Uri,
  window,
  workspace,
  type CancellationToken,
  TabInputText,
} from 'vscode';
import { mentionOf } from './mentions.ts';
import type { FoundPath } from './messages.ts';

/** Candidates that are ranked, and of these those that are offered. */
const mostCandidates = 3000;
const mostOffered = 12;

/** What a question calls a file or folder: as VS Code does, by its folder's name too where several are open. */
export const pathOf = (uri: Uri): string => workspace.asRelativePath(uri);

/** The file or folder that is called like this; undefined: there is none in the folders that are open. */
export async function resolvePath(
  path: string,
): Promise<{ readonly uri: Uri; readonly kind: 'file' | 'folder' } | undefined> {
  const folders = workspace.workspaceFolders ?? [];
  const relative = path.replaceAll('\\', '/').replace(/\/+$/u, '');
  const [root, ...rest] = relative.split('/');
  const named = folders.filter(({ name }) => folders.length > 1 && name === root);
  const candidates = [
    ...named.map(({ uri }) => Uri.joinPath(uri, ...rest)),
    ...folders.map(({ uri }) => Uri.joinPath(uri, relative)),
    ...openFiles().filter((uri) => pathOf(uri) === path),
  ];
  for (const uri of candidates) {
    // Paths that lead out of the workspace name nothing in it.
    if (workspace.getWorkspaceFolder(uri) === undefined && !openFiles().includes(uri)) continue;
    const type = await typeOf(uri);
    if (type !== undefined) return { uri, kind: type };
  }
  return undefined;
}

async function typeOf(uri: Uri): Promise<'file' | 'folder' | undefined> {
  try {
    const { type } = await workspace.fs.stat(uri);
    return (type & FileType.Directory) === 0 ? 'file' : 'folder';
  } catch {
    return undefined;
  }
}

/** Files, and folders that hold some, whose path is like `query`, the best first; with no query, the ones that are open. */
export async function findPaths(query: string, token: CancellationToken): Promise<FoundPath[]> {
  const wanted = query.trim().replaceAll('\\', '/');
  const open = openFiles().map(pathOf);
  if (wanted === '') return [...new Set(open)].slice(0, mostOffered).map((path) => found(path));
  const name = wanted.slice(wanted.lastIndexOf('/') + 1);
  const glob = `*${Array.from(name, globOf).join('*')}*`;
  const files = await workspace.findFiles(`**/${glob}`, excluded(), mostCandidates, token);
  // A folder is found by its files: what the query ends in may be its name.
  const inFolders = wanted.endsWith('/')
    ? files
    : await workspace.findFiles(`**/${glob}/**`, excluded(), mostCandidates, token);
  const paths = [...new Set([...open, ...files.map(pathOf)])];
  const folders = [...new Set([...files, ...inFolders].map(pathOf).flatMap(foldersOf))];
  const ranked = fuzzysort.go(wanted, [...paths, ...folders], { limit: mostOffered });
  return ranked.map(({ target }) => found(target));
}

const found = (path: string): FoundPath => ({
  path,
  kind: path.endsWith('/') ? 'folder' : 'file',
  mention: mentionOf(path),
});

/** A character as a glob that knows no case. */
function globOf(character: string): string {
  const [lower, upper] = [character.toLowerCase(), character.toUpperCase()];
  if (lower !== upper && lower.length === 1 && upper.length === 1) return `[${lower}${upper}]`;
  return /[\p{L}\p{N}._-]/u.test(character) ? character : '?';
}

/** "src/a/b.ts": "src/", "src/a/". */
function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1);
  return parts.map((_, index) => `${parts.slice(0, index + 1).join('/')}/`);
}

/** Files in a folder, those nearest to it first. */
export async function filesIn(folder: Uri, token: CancellationToken): Promise<Uri[]> {
  const files = await workspace.findFiles(
    new RelativePattern(folder, '**/*'),
    excluded(),
    mostCandidates,
    token,
  );
  const depth = ({ path }: Uri): number => path.split('/').length;
  return files.sort((a, b) => depth(a) - depth(b) || (a.path < b.path ? -1 : 1));
}

/** What the editor's own search leaves out. */
function excluded(): string | undefined {
  const patterns = ['files.exclude', 'search.exclude'].flatMap((section) => {
    const [group = '', name = ''] = section.split('.');
    const all = workspace.getConfiguration(group).get<Record<string, unknown>>(name, {});
    return Object.keys(all).filter((pattern) => all[pattern] === true);
  });
  return patterns.length === 0 ? undefined : `{${patterns.join(',')}}`;
}

/** Files in tabs, the ones in sight first. */
function openFiles(): Uri[] {
  const visible = window.visibleTextEditors.map(({ document }) => document.uri);
  const tabs = window.tabGroups.all
    .flatMap((group) => group.tabs)
    .flatMap(({ input }) => (input instanceof TabInputText ? [input.uri] : []));
  const all = new Map([...visible, ...tabs].map((uri) => [uri.toString(), uri]));
  return [...all.values()].filter(({ scheme }) => scheme === 'file' || scheme === 'vscode-remote');
}
