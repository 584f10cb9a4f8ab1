/** Edits as people made them: what a release of a package changed in its files. */
import fs from 'node:fs';
import path from 'node:path';
import { diffLines } from 'diff';

/** A piece of a text, and what came in its place. */
export interface Edit {
  /** In the text as the edits before have left it. */
  readonly offset: number;
  readonly removed: string;
  readonly inserted: string;
}

export const edited = (text: string, { offset, removed, inserted }: Edit): string =>
  text.slice(0, offset) + inserted + text.slice(offset + removed.length);

export interface Release {
  readonly name: string;
  /** From the older to the newer one. */
  readonly versions: string;
  readonly files: readonly {
    readonly name: string;
    readonly before: string;
    readonly after: string;
  }[];
}

const modules = path.resolve(import.meta.dirname, '../node_modules');

/** Two versions of a package that package-lock.json pins: another package has the older one for itself. */
const pairs = [
  { name: 'commander', older: '@vscode/vsce', files: ['lib/help.js', 'lib/option.js'] },
  { name: 'minimatch', older: 'mocha', files: ['dist/esm/index.js'] },
] as const;

const versionIn = (folder: string): string => {
  const { version } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return version;
};

export function releases(): Release[] {
  return pairs.map(({ name, older, files }) => {
    const [before, after] = [
      path.join(modules, older, 'node_modules', name),
      path.join(modules, name),
    ];
    const textIn = (folder: string, file: string): string =>
      fs.readFileSync(path.join(folder, file), 'utf8').replaceAll('\r\n', '\n');
    return {
      name,
      versions: `${versionIn(before)} to ${versionIn(after)}`,
      files: files.map((file) => ({
        name: path.basename(file),
        before: textIn(before, file),
        after: textIn(after, file),
      })),
    };
  });
}

/** From the top of the file on; lines that were replaced are one edit. */
export function editsBetween(before: string, after: string): Edit[] {
  const edits: Edit[] = [];
  let offset = 0;
  let open: { removed: string; inserted: string } | undefined;
  const close = (): void => {
    if (open !== undefined) edits.push({ offset, ...open });
    offset += open?.inserted.length ?? 0;
    open = undefined;
  };
  for (const { added, removed, value } of diffLines(before, after)) {
    if (added || removed) {
      open ??= { removed: '', inserted: '' };
      if (removed) open.removed += value;
      else open.inserted += value;
    } else {
      close();
      offset += value.length;
    }
  }
  close();
  return edits;
}
