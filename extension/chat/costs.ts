import { Range, Uri, workspace, type CancellationToken } from 'vscode';
import type { ChatAttachment, FileLeftOut } from '../../sidecar/protocol.ts';
import type { Answers } from '../answers.ts';
import { describeReason } from '../describe.ts';
import { keyOf, type Attachment } from './conversation.ts';
import { filesIn, pathOf } from './files.ts';
import type { Chip } from './messages.ts';

/** As the sidecar's: of files that nobody has open. */
const mostBytes = 512 * 1024;
/** Texts whose tokens are counted at once. */
const countedAtOnce = 16;

/** What attachments cost, and what of a folder goes in. */
export class Costs {
  readonly #answers: Answers;
  /** Tokens by the text's place and version. */
  readonly #known = new Map<string, number>();

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** With another model texts have other tokens. */
  forget(): void {
    this.#known.clear();
  }

  /** An attachment as it is drawn before its cost is known. */
  chip(attachment: Attachment): Chip {
    const uri = Uri.parse(attachment.uri);
    const { kind, lines } = attachment;
    const path = pathOf(uri);
    const name = path.slice(path.lastIndexOf('/') + 1);
    const part = lines === undefined ? '' : `:${lines.first + 1}-${lines.last + 1}`;
    return {
      key: keyOf(attachment),
      kind,
      uri: attachment.uri,
      name: kind === 'folder' ? `${name}/` : name + part,
      path: path + part,
    };
  }

  /** The same with its cost. Rejects where the token is cancelled; without a model there is no cost. */
  async priced(attachment: Attachment, budget: number, token: CancellationToken): Promise<Chip> {
    const chip = this.chip(attachment);
    if (attachment.kind === 'folder') {
      const { taken, all, tokens } = await this.#folder(attachment, budget, token);
      return { ...chip, tokens, files: { taken: taken.length, all } };
    }
    const text = await readText(Uri.parse(attachment.uri), attachment.lines);
    if (typeof text !== 'object') return { ...chip, problem: describeReason(text) };
    const [tokens] = await this.#count([text], token);
    return tokens === undefined ? chip : { ...chip, tokens };
  }

  /** What is asked for: files of folders one by one, as many as have room in `budget` tokens for each. */
  async expanded(
    attachments: readonly Attachment[],
    budget: number,
    token: CancellationToken,
  ): Promise<ChatAttachment[]> {
    const all: ChatAttachment[] = [];
    for (const attachment of attachments) {
      const { kind, uri, lines } = attachment;
      if (kind === 'folder') {
        const { taken } = await this.#folder(attachment, budget, token);
        all.push(...taken.map((file) => ({ uri: file })));
      } else all.push(lines === undefined ? { uri } : { uri, lines });
    }
    return [...new Map(all.map((one) => [JSON.stringify(one), one])).values()];
  }

  /** Files of a folder while there is room for them; one that does not fit is left out whole. */
  async #folder(
    { uri }: Attachment,
    budget: number,
    token: CancellationToken,
  ): Promise<{ taken: string[]; all: number; tokens: number }> {
    const files = await filesIn(Uri.parse(uri), token);
    const taken: string[] = [];
    let tokens = 0;
    for (let start = 0; start < files.length; start += countedAtOnce) {
      if (tokens >= budget || token.isCancellationRequested) break;
      const part = files.slice(start, start + countedAtOnce);
      const texts = await Promise.all(part.map((file) => readText(file, undefined)));
      const good = texts.filter((text) => typeof text === 'object');
      const counts = await this.#count(good, token);
      good.forEach((text, index) => {
        const cost = counts[index] ?? Infinity;
        if (tokens + cost > budget) return;
        tokens += cost;
        taken.push(text.uri);
      });
    }
    return { taken, all: files.length, tokens };
  }

  async #count(
    texts: readonly ReadText[],
    token: CancellationToken,
  ): Promise<(number | undefined)[]> {
    const unknown = texts.filter(({ version }) => !this.#known.has(version));
    if (unknown.length > 0) {
      try {
        const counted = await this.#answers.countTokens(
          unknown.map(({ content }) => content),
          token,
        );
        unknown.forEach(({ version }, index) => {
          const tokens = counted[index];
          if (tokens !== undefined) this.#known.set(version, tokens);
        });
      } catch {
        // Without a model nobody knows: it is shown without its cost, and asked again with the next change.
      }
    }
    return texts.map(({ version }) => this.#known.get(version));
  }
}

interface ReadText {
  readonly uri: string;
  readonly content: string;
  /** The same for the same text in the same place. */
  readonly version: string;
}

type Unreadable = Extract<FileLeftOut['reason'], 'missing' | 'size' | 'binary'>;

/** A file as its editor has it, or as it is on disk. */
async function readText(uri: Uri, lines: Attachment['lines']): Promise<ReadText | Unreadable> {
  const document = workspace.textDocuments.find((one) => one.uri.toString() === uri.toString());
  const key = JSON.stringify([uri.toString(), lines]);
  if (document !== undefined) {
    const range = lines && new Range(lines.first, 0, lines.last + 1, 0);
    const content = document.getText(range);
    return { uri: uri.toString(), content, version: `${key}@${document.version}` };
  }
  try {
    const { size, mtime } = await workspace.fs.stat(uri);
    if (size > mostBytes) return 'size';
    const whole = new TextDecoder().decode(await workspace.fs.readFile(uri));
    if (whole.includes('\0')) return 'binary';
    const content = lines
      ? whole
          .split('\n')
          .slice(lines.first, lines.last + 1)
          .join('\n')
      : whole;
    return { uri: uri.toString(), content, version: `${key}#${mtime}.${size}` };
  } catch {
    return 'missing';
  }
}
