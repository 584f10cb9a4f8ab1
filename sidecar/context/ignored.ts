import { readFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import createIgnore, { type Ignore } from 'ignore';

/** Whose files are told to no model, and whose are only told where the user works on them. */
export type IgnoredBy = 'sightline' | 'git';

const fileNames: Readonly<Record<IgnoredBy, string>> = {
  sightline: '.sightlineignore',
  git: '.gitignore',
};

/** What the ignore files of a folder and of all above it, up to the workspace folder, say of paths. */
export class IgnoreRules {
  /** By path of the ignore file; read again for every `load`. */
  readonly #files = new Map<string, Ignore>();
  /** Folders whose ignore files were looked for. */
  readonly #known = new Set<string>();

  /** Whether the ignore files that have a say in a file of `folder` were loaded. */
  knows(folder: string, path: string): boolean {
    return foldersDownTo(folder, path).every((one) => this.#known.has(one));
  }

  /** Reads the ignore files that have a say in these paths, all of them in `folder`. */
  async load(folder: string, paths: readonly string[]): Promise<void> {
    const folders = new Set(paths.flatMap((path) => foldersDownTo(folder, path)));
    const files = [...folders].flatMap((one) =>
      Object.values(fileNames).map((name) => join(one, name)),
    );
    files.push(excludeFile(folder));
    await Promise.all(
      files.map(async (file) => {
        const text = await readFile(file, 'utf8').catch(() => undefined);
        if (text === undefined) this.#files.delete(file);
        else this.#files.set(file, createIgnore().add(text));
      }),
    );
    for (const one of folders) this.#known.add(one);
  }

  /** By whom a file of `folder` is ignored, as far as its ignore files were loaded. */
  ignores(folder: string, path: string): IgnoredBy | undefined {
    if (this.#decide(folder, path, 'sightline')) return 'sightline';
    return this.#decide(folder, path, 'git') ? 'git' : undefined;
  }

  /** As git does it: a file in an ignored folder is ignored, and the innermost file that says anything is right. */
  #decide(folder: string, path: string, by: IgnoredBy): boolean {
    const parents = foldersDownTo(folder, path);
    const steps = [...parents.slice(1).map((parent) => `${parent}${sep}`), path];
    return steps.some((step) => {
      let ignored = false;
      const sources = parents
        .filter((parent) => step.startsWith(`${parent}${sep}`) && step !== `${parent}${sep}`)
        .map((parent) => ({ parent, rules: this.#files.get(join(parent, fileNames[by])) }));
      if (by === 'git')
        sources.unshift({ parent: folder, rules: this.#files.get(excludeFile(folder)) });
      for (const { parent, rules } of sources) {
        const verdict = rules?.test(slashed(relative(parent, step), step.endsWith(sep)));
        if (verdict?.ignored === true) ignored = true;
        if (verdict?.unignored === true) ignored = false;
      }
      return ignored;
    });
  }
}

const excludeFile = (folder: string): string => join(folder, '.git', 'info', 'exclude');

/** Relative paths in the way that rules are written. */
const slashed = (path: string, isFolder: boolean): string =>
  path.split(sep).join('/') + (isFolder ? '/' : '');

/** `folder` and the folders in it that a path lies in, the outermost first. */
function foldersDownTo(folder: string, path: string): string[] {
  const between: string[] = [];
  for (let one = dirname(path); one.length > folder.length; one = dirname(one)) between.push(one);
  return [folder, ...between.reverse()];
}
