/** What the model is asked, as plain text. Code goes in whole lines, without the indentation that all of them have. */
import type { ChatMessage } from '../../sidecar/protocol.ts';
import { fenced, firstCodeBlock, indented } from './code.ts';

/** Lines of a document. */
export interface CodeLines {
  /** Path of the document as people know it. */
  readonly path: string;
  /** The editor's name of the language. */
  readonly language: string;
  readonly lines: readonly string[];
}

/** A problem that the editor shows; `line` counts from 1 within the lines that are asked about. */
export interface Problem {
  readonly line: number;
  readonly message: string;
  readonly source?: string;
}

const system: ChatMessage = {
  role: 'system',
  content: 'You are a programming assistant in an editor. Be exact and brief.',
};

const asking = (...paragraphs: readonly string[]): ChatMessage[] => [
  system,
  { role: 'user', content: paragraphs.join('\n\n') },
];

const blockOf = ({ lines, language }: CodeLines): string => fenced(indented(lines, ''), language);

/** Asks for other lines in place of these. */
const changing = (code: CodeLines, ...wanted: readonly string[]): ChatMessage[] =>
  asking(
    `This is part of ${code.path}:`,
    blockOf(code),
    ...wanted,
    'Answer with all of this part as it should be, in one code block and without anything else. Leave alone what need not change.',
  );

export const explainPrompt = (code: CodeLines): ChatMessage[] =>
  asking(
    `This is part of ${code.path}:`,
    blockOf(code),
    'Explain what it does and how, for a programmer who sees it for the first time. Name what is surprising or looks wrong.',
  );

export const fixPrompt = (code: CodeLines, problems: readonly Problem[]): ChatMessage[] =>
  changing(
    code,
    [
      'Fix these problems:',
      ...problems.map(({ line, message, source }) => {
        const text = code.lines[line - 1]?.trim() ?? '';
        const where = text === '' ? '' : ` at \`${text}\``;
        const from = source === undefined ? '' : ` (${source})`;
        return `- line ${line}${where}: ${message.replace(/\s+/g, ' ').trim()}${from}`;
      }),
    ].join('\n'),
  );

export const refactorPrompt = (code: CodeLines, instruction: string): ChatMessage[] =>
  changing(code, `Change it like this: ${instruction.trim()}`);

export const documentPrompt = (code: CodeLines): ChatMessage[] =>
  changing(
    code,
    `Write documentation comments for it, in the way that is usual in ${code.language}: what it is for, what goes in and what comes out, what can fail. Change nothing but comments.`,
  );

/** `like`: a test that is there already, and that the model sees as an attachment. */
export const testsPrompt = (code: CodeLines, testPath: string, like?: string): ChatMessage[] =>
  asking(
    `This is part of ${code.path}:`,
    blockOf(code),
    `Write tests for it. They go into the new file ${testPath}: import what they need by its path from there.${
      like === undefined ? '' : ` Use the test framework and the style of ${like}.`
    } Test what is usual, the limits and what fails.`,
    'Answer with the whole new file, in one code block and without anything else.',
  );

/** `subjects`: of earlier commits, the latest first. */
export const commitPrompt = (diff: string, subjects: readonly string[]): ChatMessage[] =>
  asking(
    'These changes are about to be committed:',
    fenced(diff.trimEnd().split('\n'), 'diff'),
    ...(subjects.length === 0
      ? []
      : [['Earlier commits, for their style:', ...subjects.map((line) => `- ${line}`)].join('\n')]),
    'Write the commit message: a subject of at most 72 characters that says what the change does and, only where it needs more, an empty line and a short text that says why. Answer with the message alone.',
  );

/** The message in an answer: without fence, quotes and what is said around it. */
export function commitMessageIn(answer: string): string {
  const said = firstCodeBlock(answer)?.code.join('\n') ?? answer;
  const message = said.replace(/^\s*(?:commit message|subject):\s*/i, '').trim();
  const [, quoted] = /^(["'`])?([\s\S]*?)\1$/.exec(message)?.slice(1) ?? [];
  return (quoted ?? message)
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim();
}
