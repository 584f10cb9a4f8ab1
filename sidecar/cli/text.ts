import { readFile } from 'node:fs/promises';
import { fail, succeed, type Result } from '../result.ts';
import { say } from './output.ts';

/** What a file says. The error is a line for the user. */
export async function readText(file: string): Promise<Result<string, string>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
  const text = new TextDecoder().decode(bytes);
  if (!Buffer.from(text).equals(bytes) && text.includes('\uFFFD')) {
    say(`${file} is not valid UTF-8; what is not stands as U+FFFD`);
  }
  return succeed(text);
}

/** The text that an option gives, or what a file says where it is @FILE. Undefined: the file cannot be read, which was said. */
export async function promptOf(prompt: string): Promise<string | undefined> {
  if (!prompt.startsWith('@')) return prompt;
  const text = await readText(prompt.slice(1));
  if (text.ok) return text.value;
  say(text.error);
  return undefined;
}
