import {
  CodeAction,
  CodeActionKind,
  commands,
  l10n,
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
  readonly title: () => string;
  readonly kind: CodeActionKind;
  readonly on: 'selection' | 'problems';
  /** `asked`: what was selected, or the problem that the light bulb is of. `instruction`: as whoever runs the command says. */
  run(tools: Tools, place: Place, asked: Range, instruction?: string): Promise<void>;
}

const own = CodeActionKind.RefactorRewrite.append('sightline');

export const actions: readonly Action[] = [
  {
    command: 'sightline.fix',
    title: () => l10n.t('Fix with Sightline'),
    kind: CodeActionKind.QuickFix,
    on: 'problems',
    run: fix,
  },
  {
    command: 'sightline.explain',
    title: () => l10n.t('Explain with Sightline'),
    kind: own.append('explain'),
    on: 'selection',
    run: explain,
  },
  {
    command: 'sightline.refactor',
    title: () => l10n.t('Refactor with Sightline…'),
    kind: own.append('refactor'),
    on: 'selection',
    run: (tools, place, _asked, instruction) => refactor(tools, place, instruction),
  },
  {
    command: 'sightline.writeDocumentation',
    title: () => l10n.t('Write Documentation with Sightline'),
    kind: own.append('document'),
    on: 'selection',
    run: writeDocumentation,
  },
  {
    command: 'sightline.writeTests',
    title: () => l10n.t('Write Tests with Sightline'),
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
      commands.registerCommand(action.command, (...given: unknown[]) =>
        perform(tools, action, given),
      ),
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

/** `given`: a document, a range and an instruction from the light bulb and other extensions; menus of editors leave out the range. */
async function perform(
  tools: Tools,
  action: Action,
  [uri, range, instruction]: readonly unknown[],
): Promise<void> {
  const said = typeof instruction === 'string' ? instruction : undefined;
  if (uri instanceof Uri && range instanceof Range) {
    const document = await workspace.openTextDocument(uri);
    const find = action.on === 'problems' ? placeAround : placeAt;
    await action.run(tools, await find(document, range), range, said);
    return;
  }
  const editor = window.activeTextEditor;
  if (editor === undefined) {
    void window.showInformationMessage(
      l10n.t('Open a file, and select the lines that this is about.'),
    );
    return;
  }
  const { document, selection } = editor;
  await action.run(tools, await placeAt(document, selection), selection, said);
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
      const { command, kind } = action;
      const title = action.title();
      const offered = new CodeAction(title, kind);
      offered.diagnostics = [...problem];
      offered.command = { command, title, arguments: [uri, new Range(asked.start, asked.end)] };
      return [offered];
    });
  },
};
