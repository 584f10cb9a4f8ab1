import type { CompletionRequest } from '../completion/complete.ts';
import type { Filling } from '../completion/requests.ts';
import { cancelled, type Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';
import { languageOf, type Language } from '../syntax/languages.ts';
import type { Code } from '../syntax/names.ts';
import type { Grammars, SyntaxParser } from '../syntax/parser.ts';
import { signatureAt, type Call } from '../syntax/signatures.ts';
import { argumentsIn } from './arguments.ts';
import {
  accepted,
  edited,
  replaced,
  untouched,
  type Editing,
  type FoundEdit,
  type Replacement,
} from './editing.ts';
import { renameIn } from './rename.ts';
import {
  callsLeftBehind,
  fits,
  rangeBefore,
  signatureIn,
  type EditedSignature,
} from './signature.ts';

/** Characters of the longest document in which next edits are looked for. */
const longestDocument = 256 * 1024;
/** Calls that the model is asked about for one offer: what it writes may fit none of them. */
const mostAsked = 3;

export interface NextEditsOptions {
  readonly grammars: Grammars;
  /** Gives what the model writes in a document as it would be. */
  readonly fill: (
    request: CompletionRequest,
    signal: AbortSignal,
  ) => Promise<Result<Filling, Failure>>;
}

interface Followed {
  readonly editing: Editing;
  /** What was found last. */
  readonly offered?: Replacement;
}

/** Follows what the user does in documents, and finds where the same is to be done next. */
export class NextEdits {
  readonly #options: NextEditsOptions;
  /** By URI. */
  readonly #documents = new Map<string, Followed>();

  constructor(options: NextEditsOptions) {
    this.#options = options;
  }

  /** A document was opened or changed; `text` undefined: closed. */
  documentChanged(uri: string, text: string | undefined): void {
    if (text === undefined || text.length > longestDocument) {
      this.#documents.delete(uri);
      return;
    }
    const { editing, offered } = this.#documents.get(uri) ?? {};
    if (editing === undefined) {
      this.#documents.set(uri, { editing: untouched(text) });
    } else if (text !== editing.now) {
      const isAccepted = offered !== undefined && replaced(editing.now, offered) === text;
      const next = isAccepted ? accepted(editing, offered) : edited(editing, text);
      this.#documents.set(uri, { editing: next });
    }
  }

  clear(): void {
    this.#documents.clear();
  }

  /**
   * The next place from the request's cursor on; undefined where there is none, or it is not to be told: no grammar, a document
   * that is too long, a parser that has run out of its time.
   */
  async find(
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<FoundEdit | undefined, Failure>> {
    const { uri, name, languageId, text } = request;
    const editing = this.#documents.get(uri)?.editing;
    const language = languageOf(name, languageId);
    if (language === undefined || editing?.now !== text || editing.before === text)
      return succeed(undefined);
    const parser = await this.#options.grammars.parserOf(language);
    if (parser === undefined) return succeed(undefined);
    try {
      const found = await this.#findIn(parser, language, editing, request, signal);
      if (signal.aborted) return fail(cancelled);
      if (found.ok && found.value !== undefined && this.#documents.get(uri)?.editing === editing)
        this.#documents.set(uri, { editing, offered: found.value.edit });
      return found;
    } finally {
      parser.close();
    }
  }

  async #findIn(
    parser: SyntaxParser,
    language: Language,
    editing: Editing,
    request: CompletionRequest,
    signal: AbortSignal,
  ): Promise<Result<FoundEdit | undefined, Failure>> {
    const { offset } = request;
    const read = <T>(text: string, look: (code: Code) => T): T | undefined =>
      parser.read(text, (tree) => look({ tree, text, language }));
    const { rename, signature } =
      read(editing.now, (code) => ({
        rename: renameIn(code, editing, offset),
        signature: signatureIn(code, editing, offset),
      })) ?? {};
    if (rename !== undefined || signature === undefined) return succeed(rename);
    const before = read(editing.before, (code) => signatureAt(code, rangeBefore(editing)));
    if (before === undefined) return succeed(undefined);
    const calls = callsLeftBehind(before, signature, editing.visited);
    return this.#fill(parser, request, signature, calls, signal);
  }

  /** The first call that the model writes other arguments for, and such that fit. */
  async #fill(
    parser: SyntaxParser,
    request: CompletionRequest,
    { signature, signatures }: EditedSignature,
    calls: readonly Call[],
    signal: AbortSignal,
  ): Promise<Result<FoundEdit | undefined, Failure>> {
    const { text } = request;
    for (const { start, end } of calls.slice(0, mostAsked)) {
      const hole = replaced(text, { start, end, text: '' });
      const answer = await this.#options.fill({ ...request, text: hole, offset: start }, signal);
      if (!answer.ok) return answer;
      const head = text.slice(text.lastIndexOf('\n', start - 1) + 1, start);
      const given = text.slice(start, end);
      const written = argumentsIn(parser, head, answer.value, given);
      const isOther = written !== undefined && written.text !== given.trim();
      if (!isOther || !fits(signatures, written.count)) continue;
      // White space around them stays.
      const first = start + given.length - given.trimStart().length;
      const edit = { start: first, end: first + given.trim().length, text: written.text };
      return succeed({ edit, why: { kind: 'signature', function: signature.function } });
    }
    return succeed(undefined);
  }
}
