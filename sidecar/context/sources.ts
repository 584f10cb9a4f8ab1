import { isAbsolute, resolve } from 'node:path';
import type { Definition, FileLeftOut, FileSource } from '../protocol.ts';
import { Disk, type FileRead } from './disk.ts';
import { areNearDuplicates, linesOf, type Lines } from './duplicates.ts';
import { IgnoreRules, type IgnoredBy } from './ignored.ts';
import { importsOf } from './imports.ts';
import { untellable } from './secrets.ts';
import type { Candidate, SourceFile } from './settle.ts';
import { folderOf, pathOf, uriOf, type Folder } from './workspace.ts';

/** The most files that nobody has open, of those imported or found by their definitions. */
const mostRelated = 32;

export interface Gathered {
  /** The most important first; the document in use before all others. */
  readonly candidates: readonly Candidate[];
  readonly leftOut: readonly FileLeftOut[];
}

/** Finds the definitions of what stands around a place, within a time of its own. */
export type FindDefinitions = (
  uri: string,
  offset: number,
  signal: AbortSignal,
) => Promise<readonly Definition[]>;

export interface SourceOptions {
  readonly folders: () => readonly Folder[];
  /** Paths that the user wants in the context, absolute or in one of the folders. */
  readonly pinned: () => readonly string[];
  /** Whether files that nobody has open are looked for. */
  readonly searches: () => boolean;
  readonly definitions: FindDefinitions;
}

/** A file that nobody has open, and why it is wanted. */
interface Related {
  readonly path: string;
  readonly source: FileSource;
  readonly line: number;
}

/** What may become a candidate. */
interface Entry {
  readonly source: FileSource;
  readonly path: string | undefined;
  /** Open, or read from disk. */
  readonly file: FileRead;
  readonly focus: (text: string) => number;
}

/** The documents that the editor has open, the most important first; the first one is in use. */
export interface OpenDocuments {
  /** Those that the user has worked in or looked at. */
  readonly used: readonly SourceFile[];
  readonly unused: readonly SourceFile[];
  /** The place of interest in a document, in characters from its start. */
  readonly focusOf: (uri: string) => number;
}

/**
 * Gathers what prompts may start with: the open documents, pinned files, and files that the one in use imports or that define
 * what stands around its cursor. Files that were related before stay candidates behind those, so that the cache need not
 * forget them while there is room.
 */
export class ContextSources {
  readonly #options: SourceOptions;
  readonly #rules = new IgnoreRules();
  readonly #disk = new Disk();
  /** The latest first. */
  #related: readonly Related[] = [];

  constructor(options: SourceOptions) {
    this.#options = options;
  }

  async gather(open: OpenDocuments, signal: AbortSignal): Promise<Gathered> {
    const folders = this.#options.folders();
    const documents = [...open.used, ...open.unused];
    const [inUse] = documents;
    const now =
      inUse === undefined ? [] : await this.#search(inUse, open.focusOf(inUse.uri), signal);
    const earlier = this.#options.searches() ? without(this.#related, now) : [];
    this.#related = [...now, ...earlier].slice(0, mostRelated);
    const pinned = this.#pinned(folders);
    const openPaths = new Map(documents.map((document) => [pathOf(document.uri), document]));
    const wanted = [...pinned, ...this.#related].map(({ path }) => path);
    const files = await this.#disk.read(
      folders,
      wanted.filter((path) => !openPaths.has(path)),
    );
    await this.#loadRules(folders, [...openPaths.keys(), ...wanted]);

    const isPinned = new Set(pinned.map(({ path }) => path));
    const openEntry = (document: SourceFile): Entry => {
      const path = pathOf(document.uri);
      const source = path !== undefined && isPinned.has(path) ? 'pinned' : 'open';
      return { source, path, file: document, focus: () => open.focusOf(document.uri) };
    };
    const closedEntry = ({ path, source, line }: Related): Entry => ({
      source,
      path,
      file: openPaths.get(path) ?? files.get(path) ?? 'missing',
      focus: (text) => startOfLine(text, line),
    });
    const choice = new Choice(inUse, (path) => this.#ignoredBy(folders, path));
    for (const entry of [
      ...open.used.map(openEntry).slice(0, 1),
      ...pinned.map(closedEntry),
      ...open.used.map(openEntry).slice(1),
      ...now.map(closedEntry),
      ...open.unused.map(openEntry),
      ...without(this.#related, now).map(closedEntry),
    ])
      choice.consider(entry);
    return choice;
  }

  /** Whether a document is none of a model's business, not even while the user works on it. */
  async hides(uri: string): Promise<boolean> {
    const file = locate(this.#options.folders(), pathOf(uri));
    if (file === undefined) return false;
    const { folder, path } = file;
    if (!this.#rules.knows(folder, path)) await this.#rules.load(folder, [path]);
    return this.#rules.ignores(folder, path) === 'sightline';
  }

  #pinned(folders: readonly Folder[]): Related[] {
    const roots = folders.map(({ uri }) => pathOf(uri)).filter((root) => root !== undefined);
    return this.#options
      .pinned()
      .flatMap((name) => (isAbsolute(name) ? [name] : roots.map((root) => resolve(root, name))))
      .map((path) => ({ path, source: 'pinned', line: 0 }));
  }

  /** What the document in use is related to: first what defines things near the cursor, then what it imports. */
  async #search(
    { uri, text }: SourceFile,
    focus: number,
    signal: AbortSignal,
  ): Promise<readonly Related[]> {
    const file = locate(this.#options.folders(), pathOf(uri));
    if (!this.#options.searches() || file === undefined) return [];
    const { folder, path } = file;
    const [definitions, imports] = await Promise.all([
      this.#options.definitions(uri, focus, signal),
      importsOf(folder, path, text),
    ]);
    const related: Related[] = [];
    for (const { uri, line } of definitions) {
      const path = pathOf(uri);
      if (path !== undefined) related.push({ path, source: 'definition', line });
    }
    for (const path of imports) related.push({ path, source: 'import', line: 0 });
    return without(related, [{ path }]).slice(0, mostRelated);
  }

  async #loadRules(
    folders: readonly Folder[],
    paths: readonly (string | undefined)[],
  ): Promise<void> {
    const byFolder = new Map<string, string[]>();
    for (const one of paths) {
      const file = locate(folders, one);
      if (file === undefined) continue;
      byFolder.set(file.folder, [...(byFolder.get(file.folder) ?? []), file.path]);
    }
    for (const [folder, inFolder] of byFolder) await this.#rules.load(folder, inFolder);
  }

  #ignoredBy(folders: readonly Folder[], path: string | undefined): IgnoredBy | undefined {
    const file = locate(folders, path);
    return file && this.#rules.ignores(file.folder, file.path);
  }
}

/** A path with the folder that it lies in; undefined where that is none of these. */
function locate(
  folders: readonly Folder[],
  path: string | undefined,
): { readonly folder: string; readonly path: string } | undefined {
  const folder = path === undefined ? undefined : folderOf(folders, path);
  return path === undefined || folder === undefined ? undefined : { folder, path };
}

/** Entries as they come, less what a model is not told and what says nothing new. */
class Choice implements Gathered {
  readonly candidates: Candidate[] = [];
  readonly leftOut: FileLeftOut[] = [];
  readonly #inUse: SourceFile | undefined;
  readonly #ignoredBy: (path: string | undefined) => IgnoredBy | undefined;
  readonly #seen = new Set<string>();
  readonly #lines: Lines[] = [];

  constructor(
    inUse: SourceFile | undefined,
    ignoredBy: (path: string | undefined) => IgnoredBy | undefined,
  ) {
    this.#inUse = inUse;
    this.#ignoredBy = ignoredBy;
  }

  consider({ source, path, file, focus }: Entry): void {
    const uri = typeof file === 'string' ? uriOf(path ?? '') : file.uri;
    if (this.#seen.has(uri)) return;
    this.#seen.add(uri);
    // Nobody has asked for what was only found: it is passed over in silence.
    const isAsked = source === 'open' || source === 'pinned';
    const ignored = this.#ignoredBy(path);
    const isInUse = file === this.#inUse;
    const leaveOut = (reason: FileLeftOut['reason']): void => {
      if (isAsked || reason === 'duplicate') this.leftOut.push({ uri, reason });
    };
    if (typeof file === 'string') {
      leaveOut(file);
      return;
    }
    if (ignored === 'sightline' || (ignored === 'git' && source !== 'pinned' && !isInUse)) {
      leaveOut('ignored');
      return;
    }
    const untold = untellable(file);
    if (untold !== undefined) {
      leaveOut(untold);
      return;
    }
    const lines = linesOf(file.text);
    if (!isInUse && this.#lines.some((others) => areNearDuplicates(lines, others))) {
      leaveOut('duplicate');
      return;
    }
    this.#lines.push(lines);
    const onlyInUse = ignored === 'git' && source !== 'pinned';
    this.candidates.push({ document: file, source, focus: focus(file.text), onlyInUse });
  }
}

/** Those whose path is not among the others', each path once. */
function without(
  related: readonly Related[],
  others: readonly { readonly path: string }[],
): Related[] {
  const seen = new Set(others.map(({ path }) => path));
  return related.filter(({ path }) => !seen.has(path) && seen.add(path));
}

function startOfLine(text: string, line: number): number {
  let start = 0;
  for (let i = 0; i < line; i++) {
    const end = text.indexOf('\n', start);
    if (end < 0) break;
    start = end + 1;
  }
  return start;
}
