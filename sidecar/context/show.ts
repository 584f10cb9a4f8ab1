import type { NativeEngine } from '../engine/addon.ts';
import { fenced } from '../markdown.ts';
import type { StablePrefix } from './stable.ts';

/** What a prompt was made of, in the order that a file reads. */
export interface Prompt {
  readonly uri: string;
  readonly stable: StablePrefix;
  /** The lines around the cursor. */
  readonly prefix: Int32Array;
  readonly suffix: Int32Array;
}

/** A prompt as Markdown, for people: each part with its boundaries and what it costs. */
export async function showPrompt(native: NativeEngine, prompt: Prompt): Promise<string> {
  const { uri, stable, prefix, suffix } = prompt;
  const sections: string[] = [];
  let start = 0;
  for (const [index, file] of stable.files.entries()) {
    const { uri, source, tokens, documentTokens } = file;
    const end = stable.ends[index] ?? start;
    const text = await native.detokenize(stable.tokens.subarray(start, end));
    const title = `${uri}: ${tokens} of ${documentTokens} tokens, settled (${source})`;
    sections.push(section(title, text));
    start = end;
  }
  for (const [where, tokens] of [
    ['before', prefix],
    ['after', suffix],
  ] as const) {
    const text = await native.detokenize(tokens);
    sections.push(section(`${uri}: ${tokens.length} tokens ${where} the cursor`, text));
  }
  if (stable.leftOut.length > 0) {
    const files = stable.leftOut.map(({ uri, reason }) => `- ${uri}: ${reason}`);
    sections.push(`## Left out\n\n${files.join('\n')}`);
  }
  const total = stable.tokens.length + prefix.length + suffix.length;
  return [
    '# What the model saw for the latest completion',
    `${total} of ${native.info.contextTokens} tokens of context: ${stable.tokens.length} of files as they were settled, which stay in the cache, and ${prefix.length + suffix.length} around the cursor.`,
    ...sections,
  ].join('\n\n');
}

const section = (title: string, text: string): string => `## ${title}\n\n${fenced(text)}`;
