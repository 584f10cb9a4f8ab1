import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { CompletionRequest } from '../../../sidecar/completion/complete.ts';
import type { Filling } from '../../../sidecar/completion/requests.ts';
import type { Failure } from '../../../sidecar/engine/failure.ts';
import { replaced, type FoundEdit } from '../../../sidecar/nextEdit/editing.ts';
import { NextEdits } from '../../../sidecar/nextEdit/nextEdits.ts';
import { succeed, type Result } from '../../../sidecar/result.ts';
import { Grammars } from '../../../sidecar/syntax/parser.ts';

const folder = fileURLToPath(
  new URL('../../../node_modules/@vscode/tree-sitter-wasm/wasm', import.meta.url),
);
const grammars = new Grammars(folder, (message) => {
  throw new Error(message);
});

/**
 * A document with what the user does in it: ‹a→b› is edited from `a` to `b`, with the cursor behind it; «a→b» is to be
 * offered for `a`.
 */
export interface Template {
  readonly before: string;
  readonly after: string;
  readonly cursor: number;
  /** After all that is offered. */
  readonly wanted: string;
}

export function parseTemplate(template: string): Template {
  const as = (edit: 'from' | 'to', offer: 'from' | 'to'): string =>
    template.replaceAll(
      /([‹«])([^→›»]*)→([^›»]*)[›»]/g,
      (_, mark: string, from: string, to: string) =>
        (mark === '‹' ? edit : offer) === 'from' ? from : to,
    );
  const cursor = template
    .slice(0, template.indexOf('›'))
    .replaceAll(/«([^→»]*)→[^»]*»/g, '$1')
    .replace(/‹[^→]*→/, '').length;
  return { before: as('from', 'from'), after: as('to', 'from'), cursor, wanted: as('to', 'to') };
}

type Fill = (request: CompletionRequest) => Result<Filling, Failure>;

/** What a model wrote to its end. */
export const whole = (text: string): Result<Filling, Failure> => succeed({ text, isCutOff: false });

/** A user who accepts what is offered in one document. */
export class Follower {
  readonly uri = 'file:///a';
  readonly name: string;
  /** What the model was asked to fill in, with `|` where. */
  readonly asked: string[] = [];
  readonly edits: NextEdits;
  text: string;
  cursor = 0;

  constructor(name: string, text: string, fill: Fill = () => whole('')) {
    this.name = name;
    this.text = text;
    this.edits = new NextEdits({
      grammars,
      fill: (request) => {
        const { text: content, offset } = request;
        this.asked.push(`${content.slice(0, offset)}|${content.slice(offset)}`);
        return Promise.resolve(fill(request));
      },
    });
    this.edits.documentChanged(this.uri, text);
  }

  change(text: string, cursor: number): void {
    this.text = text;
    this.cursor = cursor;
    this.edits.documentChanged(this.uri, text);
  }

  async next(signal = new AbortController().signal): Promise<FoundEdit | undefined> {
    const { uri, name, text, cursor: offset } = this;
    const found = await this.edits.find({ uri, name, text, offset, maxTokens: 8 }, signal);
    assert.ok(found.ok);
    return found.value;
  }

  accept({ edit }: FoundEdit): void {
    this.change(replaced(this.text, edit), edit.start + edit.text.length);
  }

  /** Accepts all that is offered; resolves to what that was, in its order. */
  async acceptAll(): Promise<FoundEdit[]> {
    const all: FoundEdit[] = [];
    for (let found = await this.next(); found !== undefined; found = await this.next()) {
      assert.ok(all.length < 100, 'there is no end of offers');
      all.push(found);
      this.accept(found);
    }
    return all;
  }
}
