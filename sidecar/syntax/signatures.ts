import type { Node } from 'web-tree-sitter';
import { identifiersOf, type Code } from './names.ts';

/** The parameters of a function that is declared. */
export interface Signature {
  readonly function: string;
  readonly names: readonly string[];
  /** How many arguments it takes. */
  readonly least: number;
  /** Infinity: any number. */
  readonly most: number;
}

/** A call, by what is between its brackets. */
export interface Call {
  readonly start: number;
  readonly end: number;
  /** Of its arguments; undefined where that is not to be told: there are lists or names among them. */
  readonly count: number | undefined;
}

const isComment = ({ type }: Node): boolean => type.includes('comment');

const isBracketed = ({ text }: Code, { startIndex, endIndex }: Node): boolean =>
  text[startIndex] === '(' && text[endIndex - 1] === ')';

/** The signature whose list of parameters a range lies in; undefined where it lies in none, or that is of no name. */
export function signatureAt(
  code: Code,
  { start, end }: { readonly start: number; readonly end: number },
): Signature | undefined {
  let node = code.tree.rootNode.descendantForIndex(start, end);
  for (; node !== null; node = node.parent) {
    const parameters = node.childForFieldName('parameters');
    if (parameters === null || parameters.startIndex >= start || parameters.endIndex <= end)
      continue;
    const name = isBracketed(code, parameters) ? nameOf(node) : undefined;
    return name === undefined ? undefined : signatureOf(code, name.text, parameters);
  }
  return undefined;
}

/** Every signature that functions of a name are declared with. */
export function signaturesOf(code: Code, name: string): Signature[] {
  return identifiersOf(code, name, 0).flatMap((identifier) => {
    for (let node = identifier.parent; node !== null; node = node.parent) {
      const holder = node.childForFieldName('value') ?? node;
      const parameters = holder.childForFieldName('parameters');
      if (parameters !== null)
        return nameOf(holder)?.id === identifier.id ? [signatureOf(code, name, parameters)] : [];
      if (!/declarator|qualified/.test(node.type)) return [];
    }
    return [];
  });
}

/** The identifier that a function has its name from: its own, or that of what it is the value of. */
function nameOf(node: Node): Node | undefined {
  const isValue = node.parent?.childForFieldName('value')?.id === node.id;
  const name =
    node.childForFieldName('name') ??
    node.childForFieldName('declarator') ??
    (isValue ? node.parent.childForFieldName('name') : null);
  return name === null ? undefined : lastOf(name);
}

/** The last of the tokens: of `a::b` it is `b`. */
function lastOf(node: Node): Node {
  let last = node;
  for (let child = last.lastChild; child !== null; child = last.lastChild) last = child;
  return last;
}

function signatureOf({ language }: Code, name: string, list: Node): Signature {
  // C# has these, with their type and name, in the list itself.
  const hasParams = list.children.some(({ type }) => type === 'params');
  const parameters = list.children
    .filter((node) => (node.isNamed && !isComment(node)) || node.type === '...')
    .filter((node) => !isReceiver(node, language.grammar) && !node.type.endsWith('_separator'))
    .filter(({ type }) => !hasParams || type === 'parameter');
  const fixed = parameters.filter((node) => !isRest(node));
  const required = fixed.filter((node) => !isOptional(node));
  const names = parameters.flatMap(namesOf);
  const most = hasParams || fixed.length < parameters.length ? Infinity : names.length;
  return { function: name, names, least: required.flatMap(namesOf).length, most };
}

/** Those of one declaration: several in Go, none in C's `(void)`. */
function namesOf(parameter: Node): string[] {
  const named = [...parameter.childrenForFieldName('name')];
  if (named.length > 0) return named.map(({ text }) => text);
  if (parameter.type === 'parameter_declaration' && parameter.text === 'void') return [];
  const name =
    parameter.childForFieldName('pattern') ??
    parameter.childForFieldName('declarator') ??
    parameter.childForFieldName('left');
  return [(name ?? parameter.firstNamedChild ?? parameter).text];
}

const isRest = (parameter: Node): boolean =>
  [parameter, ...parameter.children].some(({ type }) =>
    /^\.\.\.$|rest|splat|spread|variadic/.test(type),
  );

const isOptional = ({ type, children }: Node): boolean =>
  /optional|default|keyword_parameter|block_parameter/.test(type) ||
  children.some((child) => child.type === '=');

/** What a call has before the dot. */
const isReceiver = ({ type, text, firstChild }: Node, grammar: string): boolean =>
  type === 'self_parameter' ||
  type === 'receiver_parameter' ||
  firstChild?.type === 'this' ||
  (grammar === 'python' && /^(?:self|cls)$/.test(text));

/** The calls of functions of a name, from `from` on to the end and then from the beginning. */
export function callsOf(code: Code, name: string, from: number): Call[] {
  return identifiersOf(code, name, from).flatMap((identifier) => {
    const list = argumentsOf(identifier);
    if (list === undefined || !isBracketed(code, list) || list.hasError) return [];
    const given = list.namedChildren.filter((node) => !isComment(node));
    const isTold = !given.some((node) => /splat|spread|variadic|pair|block/.test(node.type));
    return [
      {
        start: list.startIndex + 1,
        end: list.endIndex - 1,
        count: isTold ? given.length : undefined,
      },
    ];
  });
}

/** What is behind the name of what is called: `f` and `a.b.f`, also in front of type arguments. */
function argumentsOf(identifier: Node): Node | undefined {
  let called = identifier;
  for (let parent = called.parent; parent !== null; called = parent, parent = called.parent) {
    const list = parent.childForFieldName('arguments');
    if (list !== null) return list.startIndex >= called.endIndex ? list : undefined;
    const isLast = parent.endIndex === called.endIndex;
    const isGeneric = parent.childForFieldName('function')?.id === called.id;
    if (!isLast && !isGeneric) return undefined;
  }
  return undefined;
}
