import { stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { isWithin } from './workspace.ts';

/** The most imports of a file that are looked for. */
const mostImports = 48;

/** How a language names the files it imports. */
interface Language {
  readonly extensions: readonly string[];
  /** Group 1 is the name; group 2, if any, names within it that may be files too. */
  readonly imports: readonly RegExp[];
  /** Paths that a name may stand for, without the folder they start from; the likeliest first. */
  readonly paths: (name: string, inside: readonly string[], file: string) => readonly string[];
  /** Whether paths start from the folders above the file's as well. */
  readonly fromAbove: boolean;
}

const scripts = ['ts', 'tsx', 'mts', 'cts', 'js', 'jsx', 'mjs', 'cjs', 'vue', 'svelte'];

/** Of `./name.js` the source may be `./name.ts`. */
function scriptPaths(name: string): readonly string[] {
  const stem = name.replace(/\.([cm]?)jsx?$/, '');
  const isFolder = /(?:^|\/)\.{1,2}$|\/$/.test(name);
  const files = [name, ...scripts.map((extension) => `${stem}.${extension}`), `${stem}.d.ts`];
  const indexes = scripts.map((extension) => join(name, `index.${extension}`));
  return isFolder ? indexes : [...files, ...indexes];
}

function pythonPaths(name: string, inside: readonly string[]): readonly string[] {
  const [, dots = '', module = ''] = /^(\.*)(.*)$/.exec(name) ?? [];
  const up = dots === '' ? '.' : join('.', ...Array<string>(dots.length - 1).fill('..'));
  const base = join(up, ...module.split('.'));
  const files = (path: string): string[] => [`${path}.py`, join(path, '__init__.py')];
  // `from package import module`
  return [
    ...inside.flatMap((one) => files(join(base, one))),
    ...(module === '' ? [] : files(base)),
  ];
}

function rustPaths(name: string, _: readonly string[], file: string): readonly string[] {
  const parts = name.split('::').filter((part) => part !== 'crate' && part !== 'self');
  const own = /^(?:main|lib|mod)\.rs$/.test(basename(file)) ? '.' : basename(file, '.rs');
  // The last names of a path may be items of the file.
  const lengths = parts.map((_part, index) => parts.length - index);
  const isCrate = name.startsWith('crate::');
  return lengths.flatMap((length) => {
    const path = join(...parts.slice(0, length));
    const bases = isCrate ? ['.', 'src'] : [own];
    return bases.flatMap((base) => [join(base, `${path}.rs`), join(base, path, 'mod.rs')]);
  });
}

const languages: readonly Language[] = [
  {
    extensions: scripts,
    imports: [
      /\bfrom\s*['"](\.{1,2}(?:\/[^'"\n]*)?)['"]/g,
      /\b(?:import|require)\s*\(?\s*['"](\.{1,2}(?:\/[^'"\n]*)?)['"]/g,
    ],
    paths: scriptPaths,
    fromAbove: false,
  },
  {
    extensions: ['py', 'pyi'],
    imports: [
      /^[ \t]*from[ \t]+([\w.]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n]*)/gm,
      /^[ \t]*import[ \t]+([\w.]+)/gm,
    ],
    paths: pythonPaths,
    fromAbove: true,
  },
  {
    extensions: ['c', 'h', 'cc', 'cpp', 'cxx', 'hh', 'hpp', 'hxx', 'cu', 'cuh', 'm', 'mm'],
    imports: [/^[ \t]*#[ \t]*(?:include|import)[ \t]+"([^"\n]+)"/gm],
    paths: (name) => [name, join('include', name), join('src', name)],
    fromAbove: true,
  },
  {
    extensions: ['rs'],
    imports: [/^[ \t]*(?:pub(?:\([^)]*\))?[ \t]+)?mod[ \t]+(\w+)[ \t]*;/gm, /\b(crate(?:::\w+)+)/g],
    paths: rustPaths,
    fromAbove: true,
  },
  {
    extensions: ['java', 'kt', 'kts', 'scala'],
    imports: [/^[ \t]*import[ \t]+(?:static[ \t]+)?([\w.]+)/gm],
    paths: (name, _, file) => {
      const parts = name.split('.');
      return [parts, parts.slice(0, -1)]
        .filter((some) => some.length > 0)
        .map((some) => join(...some) + extname(file));
    },
    fromAbove: true,
  },
  {
    extensions: ['rb'],
    imports: [/^[ \t]*require_relative[ \t]*\(?['"]([^'"\n]+)['"]/gm],
    paths: (name) => [name, `${name}.rb`],
    fromAbove: false,
  },
  {
    extensions: ['php'],
    imports: [/\b(?:require|include)(?:_once)?\b[^'"\n;]*['"]\/?([^'"\n]+)['"]/g],
    paths: (name) => [name],
    fromAbove: false,
  },
  {
    extensions: ['lua'],
    imports: [/\brequire[ \t]*\(?[ \t]*['"]([\w.]+)['"]/g],
    paths: (name) => [`${join(...name.split('.'))}.lua`, join(...name.split('.'), 'init.lua')],
    fromAbove: true,
  },
];

/**
 * The files of `folder` that a file imports by a path or a module's name, in the order of their first mention. What only a
 * build knows (aliases, packages) is not found.
 */
export async function importsOf(folder: string, file: string, text: string): Promise<string[]> {
  const extension = extname(file).slice(1).toLowerCase();
  const language = languages.find(({ extensions }) => extensions.includes(extension));
  if (language === undefined) return [];
  const starts = [dirname(file)];
  while (language.fromAbove && starts.at(-1) !== folder && isWithin(starts.at(-1) ?? '', folder))
    starts.push(dirname(starts.at(-1) ?? ''));
  const found = await Promise.all(
    mentions(language, text).map(async ({ name, inside }) => {
      const paths = starts.flatMap((start) =>
        language.paths(name, inside, file).map((path) => resolve(start, path)),
      );
      const within = paths.filter((path) => isWithin(path, folder) && path !== file);
      const files = await filesAmong(within);
      return inside.length > 0 ? files : files.slice(0, 1);
    }),
  );
  return [...new Set(found.flat())];
}

interface Mention {
  readonly name: string;
  readonly inside: readonly string[];
}

function mentions({ imports }: Language, text: string): readonly Mention[] {
  const all = new Map<string, Mention & { readonly at: number }>();
  for (const pattern of imports) {
    for (const match of text.matchAll(pattern)) {
      const [whole, name = '', list = ''] = match;
      const inside = list.match(/(?<!\bas\s+)\b\w+\b/g)?.filter((word) => word !== 'as') ?? [];
      if (name !== '' && !all.has(whole)) all.set(whole, { name, inside, at: match.index });
    }
  }
  return [...all.values()].sort((a, b) => a.at - b.at).slice(0, mostImports);
}

async function filesAmong(paths: readonly string[]): Promise<string[]> {
  const are = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        (found) => found.isFile(),
        () => false,
      ),
    ),
  );
  return paths.filter((_, index) => are[index]);
}
