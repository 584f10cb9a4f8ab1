import { identifierAt, isKeyword, remainingNames, type Code } from '../syntax/names.ts';
import type { Editing, FoundEdit } from './editing.ts';

/** The next place that has the name which the user has changed, from `cursor` on; undefined where that is none. */
export function renameIn(code: Code, editing: Editing, cursor: number): FoundEdit | undefined {
  const { before, now, range } = editing;
  const token = identifierAt(code, range);
  if (token === undefined) return undefined;
  const { startIndex: start, endIndex: end } = token;
  const to = now.slice(start, end);
  const from = before.slice(start, end - (now.length - before.length));
  if (from === '' || from === to || isKeyword(code, to)) return undefined;
  const [next] = remainingNames(code, token, from, cursor);
  if (next === undefined) return undefined;
  const text = next.isShorthand ? `${from}: ${to}` : to;
  return { edit: { start: next.start, end: next.end, text }, why: { kind: 'rename', from, to } };
}
