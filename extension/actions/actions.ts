import {
  CodeAction,
  CodeActionKind,
  commands,
  languages,
  Range,
  Uri,
  window,
  workspace,
  type CodeActionContext,
  type CodeActionProvider,
  type Disposable,
  type DocumentFilter,
  type TextDocument,
} from 'vscode';
import { schemes } from '../client.ts';
import { stopAnswers, type Tools } from './asking.ts';
import { explain } from './explain.ts';
import { fix } from './fix.ts';
import { placeAround, placeAt, type Place } from './place.ts';
import { refactor } from './refactor.ts';
import { writeCommitMessage } from './writeCommitMessage.ts';
import { writeDocumentation } from './writeDocumentation.ts';
import { writeTests } from './writeTests.ts';

/** What can be asked about lines of a document. */
interface Action {
  readonly command: string;
  /** In the menu of the light bulb, and when it is there. */
  readonly title: string;
  readonly kind: CodeActionKind;
  readonly on: 'selection' | 'problems';
  /** `asked`: what was selected, or the problem that the light bulb is of. */
  run(tools: Tools, place: Place, asked: Range): Promise<void>;
}

const own = CodeActionKind.RefactorRewrite.append('sightline');

export const actions: readonly Action[] = [
  {
    command: 'sightline.fix',
    title: 'Fix with Sightline',
    kind: CodeActionKind.QuickFix,
    on: 'problems',
    run: fix,
  },
  {
    command: 'sightline.explain',
    title: 'Explain with Sightline',
    kind: own.append('explain'),
    on: 'selection',
    run: explain,
  },
  {
    command: 'sightline.refactor',
    title: 'Refactor with Sightline…',
    kind: own.append('refactor'),
    on: 'selection',
    run: (tools, place) => refactor(tools, place),
  },
  {
    command: 'sightline.writeDocumentation',
    title: 'Write Documentation with Sightline',
    kind: own.append('document'),
    on: 'selection',
    run: writeDocumentation,
  },
  {
    command: 'sightline.writeTests',
    title: 'Write Tests with Sightline',
    kind: own.append('test'),
    on: 'selection',
    run: writeTests,
  },
];

/** Registers them as commands and in the light bulb; as commands they act on the active editor. */
export function registerActions(tools: Tools): Disposable[] {
  const documents: DocumentFilter[] = schemes.map((scheme) => ({ scheme }));
  return [
    ...actions.map((action) =>
      commands.registerCommand(action.command, async (uri?: unknown, range?: unknown) => {
        const target = await targetOf(uri, range);
        if (target === undefined) {
          void window.showInformationMessage(
            'Open a file, and select the lines that this is about.',
          );
          return;
        }
        const { document, asked } = target;
        const place = await (action.on === 'problems' &&
        uri instanceof Uri &&
        range instanceof Range
          ? placeAround(document, asked)
          : placeAt(document, asked));
        await action.run(tools, place, asked);
      }),
    ),
    commands.registerCommand('sightline.writeCommitMessage', (from?: unknown) =>
      writeCommitMessage(tools, from),
    ),
    commands.registerCommand('sightline.stopAnswers', stopAnswers),
    languages.registerCodeActionsProvider(documents, lightBulb, {
      providedCodeActionKinds: actions.map(({ kind }) => kind),
    }),
  ];
}

/** A menu of an editor gives its document alone, the light bulb a range of it as well. */
async function targetOf(
  uri: unknown,
  range: unknown,
): Promise<{ document: TextDocument; asked: Range } | undefined> {
  if (uri instanceof Uri && range instanceof Range) {
    return { document: await workspace.openTextDocument(uri), asked: range };
  }
  const editor = window.activeTextEditor;
  return editor === undefined ? undefined : { document: editor.document, asked: editor.selection };
}

const lightBulb: CodeActionProvider = {
  provideCodeActions(
    { uri }: TextDocument,
    range: Range,
    { diagnostics, only }: CodeActionContext,
  ) {
    const isWanted = ({ kind }: Action): boolean => only === undefined || only.contains(kind);
    return actions.filter(isWanted).flatMap((action) => {
      const problem = action.on === 'problems' ? diagnostics : [];
      const asked = problem[0]?.range ?? range;
      if (action.on === 'problems' ? problem.length === 0 : range.isEmpty) return [];
      const offered = new CodeAction(action.title, action.kind);
      offered.diagnostics = [...problem];
      const { command, title } = action;
      offered.command = { command, title, arguments: [uri, new Range(asked.start, asked.end)] };
      return [offered];
    });
  },
};
