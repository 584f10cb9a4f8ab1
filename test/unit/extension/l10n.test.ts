import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import ts from 'typescript';

const root = new URL('../../../extension/', import.meta.url);

/** What they say is said to the model, which is spoken to in English. */
const forTheModel: ReadonlySet<string> = new Set([
  'actions/diff.ts',
  'actions/prompts.ts',
  'chat/conversation.ts',
]);

/** Not words but markup, names of classes, fonts, policies and units. */
const notWords = [
  /^</,
  /codicon/,
  /sans-serif$/,
  /^p br hr /,
  /-src \{0\}/,
  /^flex-grow:/,
  /^\{0\} [KMG]i?B$/,
];

/** Calls that are translated, and those that write the log. */
const isTold = (call: ts.CallExpression): boolean =>
  /^(?:l10n\.)?t$|\b(?:log|outputChannel)\.\w+$/i.test(call.expression.getText());

/** Calls that show what they are given. */
const isShown = (call: ts.CallExpression): boolean =>
  /\b(?:window\.(?:show\w+|setStatusBarMessage)|progress\.report)$/.test(call.expression.getText());

/** The text of a literal, with its values as {0}; undefined for what is none. */
function textOf(node: ts.Node): string | undefined {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return [node.head.text, ...node.templateSpans.map(({ literal }) => literal.text)].join('{0}');
}

/** Two words, or one before or behind a value; the name of the product and icons are the same in all languages. */
const hasWords = (text: string): boolean =>
  /\p{L}{2,}\p{P}? [\p{L}{]|\} \p{L}{2,}/u.test(text.replace(/Sightline|\$\([\w~-]+\)/g, '')) &&
  !notWords.some((pattern) => pattern.test(text));

/** What a template for the page says itself, in its text or in attributes that are read. */
function saidIn(template: string): string {
  const attributes = template.matchAll(/\s(?:title|aria-label|placeholder)="([^"]*)"/g);
  const text = template.replace(/<(?:[^>"]|"[^"]*")*>/g, ' ');
  return [text, ...[...attributes].map(([, value = '']) => value)].join(' ').replaceAll('{0}', '');
}

/** What of a file is said in English alone. */
function untranslated(name: string, source: string): string[] {
  const file = ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node, shown: boolean): void => {
    if (ts.isImportDeclaration(node) || ts.isTypeNode(node)) return;
    if (ts.isCallExpression(node) && isTold(node)) return;
    // Of a message to the model.
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'content') return;
    // Of a file dialog, and of an input: an example of what is to be typed.
    if (ts.isPropertyAssignment(node) && node.name.getText() === 'filters') return;
    if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'html') {
      const said = saidIn(textOf(node.template) ?? '');
      if (/\p{L}{2,}/u.test(said)) found.push(said.trim());
    } else {
      const text = textOf(node);
      const isPlain = shown && /^\p{L}[\p{L} .,…?]*$/u.test(text ?? '');
      if (text !== undefined && !ts.isTaggedTemplateExpression(node.parent)) {
        if (isPlain || hasWords(text)) found.push(text);
      }
    }
    const shows = ts.isCallExpression(node) && isShown(node);
    // What a condition compares with is not shown.
    const inside = (shown || shows) && !ts.isBinaryExpression(node);
    ts.forEachChild(node, (child) => {
      visit(child, inside);
    });
  };
  visit(file, false);
  return found.map((text) => `${name}: ${text}`);
}

describe('what the extension says', () => {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ts'));

  it('can be translated', () => {
    assert.ok(names.length > 50);
    const found = names
      .filter((name) => !forTheModel.has(name))
      .flatMap((name) => untranslated(name, readFileSync(new URL(name, root), 'utf8')));
    assert.deepEqual(found, []);
  });

  it('is found where it cannot', () => {
    const said = (source: string): number => untranslated('any.ts', source).length;
    for (const source of [
      "window.showInformationMessage('Done.');",
      "void window.showErrorMessage(l10n.t('No answer.'), 'Retry');",
      'window.showWarningMessage(`Nothing in ${name}`);',
      "window.showQuickPick(items, { placeHolder: 'Models' });",
      "progress.report({ message: 'waiting' });",
      "const message = 'The sidecar stopped.';",
      'const label = `${count} tokens`;',
      'html`<p>Nothing yet</p>`;',
      'html`<button title="Stop">${icon}</button>`;',
    ]) {
      assert.equal(said(source), 1, source);
    }
    for (const source of [
      "window.showInformationMessage(l10n.t('All done.'));",
      "log.warn('The sidecar stopped', why);",
      'html`<p class="hint">${text}</p>`;',
      'const policy = `style-src ${source}`;',
      "import { a } from 'some where';",
    ]) {
      assert.equal(said(source), 0, source);
    }
  });
});
