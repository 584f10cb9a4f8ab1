/** Code on its way into a prompt and out of an answer. Nothing of this knows an editor. */

/** The first block of code in an answer; `isWhole`: it was closed. */
export interface CodeBlock {
  readonly code: readonly string[];
  readonly isWhole: boolean;
}

/** The first fenced block of Markdown, as CommonMark has them; undefined where there is none. */
export function firstCodeBlock(markdown: string): CodeBlock | undefined {
  let fence:
    { readonly marks: string; readonly indent: number; readonly code: string[] } | undefined;
  for (const line of markdown.split(/\r\n|\r|\n/)) {
    if (fence === undefined) {
      const [, indent, marks] = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})/.exec(line) ?? [];
      if (indent !== undefined && marks !== undefined)
        fence = { marks, indent: indent.length, code: [] };
    } else {
      const [, closing] = /^ {0,3}(`{3,}|~{3,})[ \t]*$/.exec(line) ?? [];
      if (closing?.startsWith(fence.marks)) return { code: fence.code, isWhole: true };
      fence.code.push(line.replace(new RegExp(`^ {0,${fence.indent}}`), ''));
    }
  }
  return fence === undefined ? undefined : { code: fence.code, isWhole: false };
}

/** The code as a block of Markdown, in a fence longer than any in it. */
export function fenced(lines: readonly string[], language: string): string {
  const longest = Math.max(2, ...lines.map((line) => /^\s*(`+)/.exec(line)?.[1]?.length ?? 0));
  const fence = '`'.repeat(longest + 1);
  return [`${fence}${language}`, ...lines, fence].join('\n');
}

/** The white space that all lines begin with but those that have nothing else. */
export function indentOf(lines: readonly string[]): string {
  const indents = lines
    .filter((line) => line.trim() !== '')
    .map((line) => /^[ \t]*/.exec(line)?.[0] ?? '');
  return indents.reduce((common, indent) => {
    let length = 0;
    while (length < common.length && common[length] === indent[length]) length++;
    return common.slice(0, length);
  }, indents[0] ?? '');
}

/** The lines with `indent` in place of the white space that they have in common; blank ones are empty. */
export function indented(lines: readonly string[], indent: string): string[] {
  const { length } = indentOf(lines);
  return lines.map((line) => (line.trim() === '' ? '' : indent + line.slice(length)));
}

/** What `answer` puts in place of `lines`: with their indentation, and the blank lines around them. */
export function replacementFor(lines: readonly string[], answer: readonly string[]): string[] {
  const isBlank = (line: string): boolean => line.trim() === '';
  const first = lines.findIndex((line) => !isBlank(line));
  const last = lines.findLastIndex((line) => !isBlank(line));
  const from = answer.findIndex((line) => !isBlank(line));
  const to = answer.findLastIndex((line) => !isBlank(line));
  if (first === -1) return [...answer];
  return [
    ...lines.slice(0, first),
    ...(from === -1 ? [] : indented(answer.slice(from, to + 1), indentOf(lines))),
    ...lines.slice(last + 1),
  ];
}
