import { extname } from 'node:path';

/** A grammar, and what the tree does not say of its language. */
export interface Language {
  /** Its file is `tree-sitter-NAME.wasm`. */
  readonly grammar: string;
  /** What code starts with where its beginning is cut off. */
  readonly opening?: string;
  /** What a line ends in that opens a block. */
  readonly opensBlock: RegExp;
  /** A line that closes a block or brackets. */
  readonly closes: RegExp;
  /** What a line starts with that goes on with the statement above it. */
  readonly continues: RegExp;
  /** A name that is declared in a block is known there only; otherwise in the whole function. */
  readonly scopesAreBlocks: boolean;
  /** Members of a class are called by their names alone, inside of it. */
  readonly hasBareMembers: boolean;
}

const withBraces = (grammar: string, more: Partial<Language> = {}): Language => ({
  grammar,
  opensBlock: /\{$/,
  closes: /^\s*[)\]}]/,
  continues: /^(?:\{|\??\.|<\/|\/?>|(?:else|catch|finally)\b)/,
  scopesAreBlocks: true,
  hasBareMembers: false,
  ...more,
});

const javascript = withBraces('javascript');
const typescript = withBraces('typescript');
// C has no grammar of its own here, and headers may be either.
const cpp = withBraces('cpp', { hasBareMembers: true });
const python: Language = {
  grammar: 'python',
  opensBlock: /:$/,
  closes: /^\s*[)\]}]/,
  continues: /^(?:else|elif|except|finally)\b/,
  scopesAreBlocks: false,
  hasBareMembers: false,
};
const ruby: Language = {
  grammar: 'ruby',
  opensBlock:
    /^\s*(?:def|class|module|if|unless|while|until|for|case|begin)\b|\{$|\b(?:do|then|else|ensure)(?:\s*\|[^|]*\|)?$/,
  closes: /^\s*(?:[)\]}]|end\b)/,
  continues: /^(?:&?\.|(?:end|else|elsif|when|in|rescue|ensure)\b)/,
  scopesAreBlocks: false,
  hasBareMembers: true,
};

const byEnding: ReadonlyMap<string, Language> = new Map([
  ...['.ts', '.mts', '.cts'].map((ending) => [ending, typescript] as const),
  ['.tsx', withBraces('tsx')],
  ...['.js', '.mjs', '.cjs', '.jsx'].map((ending) => [ending, javascript] as const),
  ['.py', python],
  ['.pyi', python],
  ['.rs', withBraces('rust')],
  ['.go', withBraces('go')],
  ['.java', withBraces('java', { hasBareMembers: true })],
  ...['.c', '.h', '.cc', '.cpp', '.cxx', '.hh', '.hpp'].map((ending) => [ending, cpp] as const),
  ['.cs', withBraces('c-sharp', { hasBareMembers: true })],
  ['.rb', ruby],
  ['.php', withBraces('php', { opening: '<?php\n', scopesAreBlocks: false })],
]);

/** As editors call them, by what their files end in. */
const endingOf: Readonly<Record<string, string>> = {
  typescript: '.ts',
  typescriptreact: '.tsx',
  javascript: '.js',
  javascriptreact: '.jsx',
  python: '.py',
  rust: '.rs',
  go: '.go',
  java: '.java',
  c: '.c',
  cpp: '.cpp',
  csharp: '.cs',
  ruby: '.rb',
  php: '.php',
};

/** The language of a file by its name, or else by what an editor calls it; undefined where there is no grammar for it. */
export const languageOf = (name: string, languageId = ''): Language | undefined =>
  byEnding.get(extname(name).toLowerCase()) ?? byEnding.get(endingOf[languageId] ?? '');

export const grammarNames: readonly string[] = [
  ...new Set([...byEnding.values()].map(({ grammar }) => grammar)),
];
