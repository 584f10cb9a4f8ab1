import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Language as Grammar, Parser, type Tree } from 'web-tree-sitter';
import type { Language } from './languages.ts';

/** Milliseconds that the parses of one completion may take together; most take less than ten. */
const budget = 250;

/** Parses texts of one language for as long as its budget lasts. */
export class SyntaxParser {
  readonly language: Language;
  readonly #parser = new Parser();
  readonly #onCrash: (error: unknown) => void;
  #left: number;

  constructor(
    language: Language,
    grammar: Grammar,
    milliseconds: number,
    onCrash: (error: unknown) => void,
  ) {
    this.language = language;
    this.#left = milliseconds;
    this.#onCrash = onCrash;
    this.#parser.setLanguage(grammar);
  }

  /** What `read` finds in the tree of `text`; undefined once the budget is spent. */
  read<T>(text: string, read: (tree: Tree) => T): T | undefined {
    if (this.#left <= 0) return undefined;
    const start = performance.now();
    const spent = (): number => performance.now() - start;
    try {
      const tree = this.#parser.parse(text, null, {
        progressCallback: () => spent() >= this.#left,
      });
      if (tree === null) this.#parser.reset();
      const found = tree === null ? undefined : read(tree);
      tree?.delete();
      this.#left -= spent();
      return found;
    } catch (error) {
      this.#left = 0;
      this.#onCrash(error);
      return undefined;
    }
  }

  close(): void {
    try {
      this.#parser.delete();
    } catch (error) {
      this.#onCrash(error);
    }
  }
}

/** Grammars, each loaded when a file of its language is first completed. */
export class Grammars {
  readonly #folder: string;
  readonly #onFailure: (message: string) => void;
  readonly #grammars = new Map<string, Promise<Grammar | undefined>>();
  #runtime: Promise<void> | undefined;
  #hasCrashed = false;

  /** `onFailure` is told once of each grammar that does not load, and of a crash. */
  constructor(folder: string, onFailure: (message: string) => void) {
    this.#folder = folder;
    this.#onFailure = onFailure;
  }

  /** Undefined where the grammar did not load, or the parser has crashed: all parsers share its memory. */
  async parserOf(language: Language, milliseconds = budget): Promise<SyntaxParser | undefined> {
    let loading = this.#grammars.get(language.grammar);
    if (loading === undefined) {
      loading = this.#load(language.grammar);
      this.#grammars.set(language.grammar, loading);
    }
    const grammar = await loading;
    if (grammar === undefined || this.#hasCrashed) return undefined;
    return new SyntaxParser(language, grammar, milliseconds, (error) => {
      this.#crashed(error);
    });
  }

  #crashed(error: unknown): void {
    if (this.#hasCrashed) return;
    this.#hasCrashed = true;
    this.#onFailure(
      `The parser has crashed: ${reasonOf(error)}. Until the sidecar is started again, completions end by indentation alone.`,
    );
  }

  async #load(name: string): Promise<Grammar | undefined> {
    const file = join(this.#folder, `tree-sitter-${name}.wasm`);
    try {
      this.#runtime ??= Parser.init();
      await this.#runtime;
      return await Grammar.load(await readFile(file));
    } catch (error) {
      this.#onFailure(
        `The grammar at ${file} does not load: ${reasonOf(error)}. Completions in its language end by indentation alone.`,
      );
      return undefined;
    }
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
