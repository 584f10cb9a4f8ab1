import type { TextRange } from '../context/settle.ts';
import type { Code } from '../syntax/names.ts';
import {
  callsOf,
  signatureAt,
  signaturesOf,
  type Call,
  type Signature,
} from '../syntax/signatures.ts';
import type { Editing } from './editing.ts';

/** A list of parameters that the user is at. */
export interface EditedSignature {
  readonly signature: Signature;
  /** All that functions of its name are declared with: a call that fits one of them is left alone. */
  readonly signatures: readonly Signature[];
  /** Of its name, the next one first. */
  readonly calls: readonly Call[];
}

/** Undefined where the user is at anything else; `cursor`: from where calls are looked for. */
export function signatureIn(
  code: Code,
  { range }: Editing,
  cursor: number,
): EditedSignature | undefined {
  const signature = signatureAt(code, range);
  if (signature === undefined) return undefined;
  const { function: name } = signature;
  return { signature, signatures: signaturesOf(code, name), calls: callsOf(code, name, cursor) };
}

/** Where the list was in the document before. */
export const rangeBefore = ({ before, now, range }: Editing): TextRange => ({
  start: range.start,
  end: range.end + before.length - now.length,
});

/** The calls that do not fit a signature which was another one `before`, without those that were visited. */
export function callsLeftBehind(
  before: Signature,
  { signature, signatures, calls }: EditedSignature,
  visited: readonly number[],
): readonly Call[] {
  const isReordered = areReordered(before.names, signature.names);
  const isSame =
    before.names.length === signature.names.length &&
    before.least === signature.least &&
    before.most === signature.most;
  if (signature.function !== before.function || (isSame && !isReordered)) return [];
  return calls
    .filter(({ start, end }) => !visited.some((at) => start <= at && at <= end))
    .filter(({ count }) => isReordered || count === undefined || !fits(signatures, count));
}

/** Whether so many arguments are right for one of them. */
export const fits = (signatures: readonly Signature[], count: number): boolean =>
  signatures.some(({ least, most }) => least <= count && count <= most);

const areReordered = (before: readonly string[], now: readonly string[]): boolean =>
  before.length === now.length &&
  before.some((name, index) => name !== now[index]) &&
  before.every((name) => now.includes(name));
