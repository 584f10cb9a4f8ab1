import type { Node, Tree } from 'web-tree-sitter';
import type { Language } from './languages.ts';

/** Characters of a text, `end` not included. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** A text, its tree, and the language that both are in. */
export interface Code {
  readonly tree: Tree;
  readonly text: string;
  readonly language: Language;
}

/** The most identifiers of one name that are looked at. */
const mostNames = 256;

const isIdentifier = ({ type, childCount }: Node): boolean =>
  childCount === 0 &&
  /identifier$|identifier_pattern$|^(?:name|constant|(?:instance|class|global)_variable)$/.test(
    type,
  );

/** Words that name nothing in the languages that have them; where they may not stand, the parser takes them for names. */
const reserved =
  /^(?:and|break|case|catch|class|const|continue|def|default|do|elif|else|elsif|end|enum|except|finally|fn|for|func|function|if|impl|import|in|lambda|mod|new|not|or|pass|raise|return|struct|super|switch|this|throw|trait|try|typeof|unless|until|use|var|void|while|with|yield)$/;

export const isKeyword = ({ tree }: Code, word: string): boolean =>
  reserved.test(word) && tree.language.idForNodeType(word, false) !== null;

/** The identifier that a range lies in or touches. */
export function identifierAt({ tree }: Code, { start, end }: Range): Node | undefined {
  for (const [from, to] of [
    [start, end],
    [start - 1, end],
    [start, end + 1],
  ] as const) {
    const node = from < 0 ? null : tree.rootNode.descendantForIndex(from, to);
    if (node !== null && isIdentifier(node) && node.startIndex <= start && node.endIndex >= end)
      return node;
  }
  return undefined;
}

/** The identifiers of a name, from `from` on to the end and then from the beginning; strings and comments have none. */
export function identifiersOf({ tree, text }: Code, name: string, from: number): Node[] {
  const found: Node[] = [];
  const look = (start: number, end: number): void => {
    for (let at = text.indexOf(name, start); at >= 0 && at < end; at = text.indexOf(name, at + 1)) {
      if (found.length >= mostNames) return;
      const stop = at + name.length;
      if (isInWord(text, at, stop)) continue;
      const node = tree.rootNode.descendantForIndex(at, stop);
      if (node?.startIndex === at && node.endIndex === stop && isIdentifier(node)) found.push(node);
    }
  };
  look(from, text.length);
  look(0, from);
  return found;
}

const isInWord = (text: string, start: number, end: number): boolean =>
  /\w/.test(text.charAt(start - 1)) || /\w/.test(text.charAt(end));

/** A place that has a name. */
export interface NamePlace extends Range {
  /** It is the key of a member too: `{ name }` is short for `{ name: name }`. */
  readonly isShorthand: boolean;
}

/**
 * Where `name`, which the identifier `renamed` had, still stands for the same thing as far as the syntax tells, from `from` on
 * and around. A local name is followed in its scope; a scope that declares the name anew is left out; what is behind a
 * dot is another thing than what stands alone, but for members of classes.
 */
export function remainingNames(code: Code, renamed: Node, name: string, from: number): NamePlace[] {
  const own = scopeOfDeclaration(code, renamed);
  const isMember = isAccessed(code, renamed) || (own !== undefined && isClass(own));
  const isSameKind = (node: Node): boolean =>
    isMember
      ? code.language.hasBareMembers || isAccessed(code, node) || isClassMember(code, node)
      : !isAccessed(code, node);
  const others = identifiersOf(code, name, from)
    .filter(({ id }) => id !== renamed.id)
    .filter(isSameKind);
  const within = isMember ? undefined : own;
  const elsewhere = others
    .map((node) => scopeOfDeclaration(code, node))
    .filter((scope) => scope !== undefined)
    .filter((scope) => !contains(scope, renamed));
  return others
    .filter((node) => within === undefined || contains(within, node))
    .filter((node) => !elsewhere.some((scope) => contains(scope, node)))
    .map((node) => ({
      start: node.startIndex,
      end: node.endIndex,
      isShorthand: /^shorthand/.test(node.type) || /^shorthand/.test(node.parent?.type ?? ''),
    }));
}

const contains = (scope: Node, { startIndex, endIndex }: Node): boolean =>
  scope.startIndex <= startIndex && endIndex <= scope.endIndex;

/** Whether it is a member of something, or the key of one. */
const isAccessed = ({ text }: Code, { type, parent, startIndex }: Node): boolean =>
  /^(?:private_)?(?:property|field)_identifier$/.test(type) ||
  parent?.type === 'keyword_argument' ||
  /(?:[^.]\.|->)\s*$/.test(text.slice(Math.max(0, startIndex - 8), startIndex));

function isClassMember(code: Code, node: Node): boolean {
  const scope = scopeOfDeclaration(code, node);
  return scope !== undefined && isClass(scope);
}

const isClass = ({ type, parent }: Node): boolean =>
  parent !== null && /^(?:module|impl_item)$|class|interface|struct|trait|enum|record/.test(type);

/** The innermost scope that a declared name is known in, the whole file at the last; undefined where nothing is declared. */
function scopeOfDeclaration({ language }: Code, name: Node): Node | undefined {
  const declaration = declarationOf(name);
  if (declaration === undefined) return undefined;
  let scope = declaration.declaring;
  if (declaration.isItsName) scope = scope.parent ?? scope;
  while (scope.parent !== null && !isScope(scope, language)) scope = scope.parent;
  return scope;
}

function isScope(node: Node, { scopesAreBlocks }: Language): boolean {
  if (scopesAreBlocks && /^(?:statement_block|block|compound_statement)$/.test(node.type))
    return true;
  if (node.childForFieldName('body') === null) return false;
  return scopesAreBlocks || isClass(node) || /function|method|lambda/.test(node.type);
}

interface Declaration {
  readonly declaring: Node;
  /** It is what the name is of: it is known around it, not in it alone. */
  readonly isItsName: boolean;
}

/** What may be between a name and what declares it. */
const around =
  /^(?:variable_name|(?:expression|pattern)_list|(?:tuple|array|object|rest|mut|ref|list_splat|dictionary_splat)_pattern|typed_parameter|left_assignment_list|(?:pointer|reference|array|function)_declarator)$/;

/** Where what is on the left is declared. */
const declaresLeft =
  /^(?:assignment|assignment_pattern|short_var_declaration|range_clause|for_statement|for_in_statement)$/;

const uses = /access|member|qualified|scoped|argument|import|call|invocation/;

/** What an identifier is declared by; undefined where it is only used. */
function declarationOf(identifier: Node): Declaration | undefined {
  let name = identifier;
  for (let parent = name.parent; parent !== null; name = parent, parent = name.parent) {
    const declaring = parent;
    const isIts = (field: string): boolean =>
      declaring.childrenForFieldName(field).some((child) => child.id === name.id);
    if (declaring.type === 'pair_pattern' ? isIts('value') : around.test(declaring.type)) continue;
    if (/parameters$|parameter_list$/.test(declaring.type)) return { declaring, isItsName: false };
    if (isIts('name') || isIts('declarator'))
      return uses.test(declaring.type)
        ? undefined
        : { declaring, isItsName: declaring.childForFieldName('body') !== null };
    const isDeclared =
      isIts('pattern') ||
      isIts('parameter') ||
      (declaresLeft.test(declaring.type) && isIts('left'));
    return isDeclared ? { declaring, isItsName: false } : undefined;
  }
  return undefined;
}
