import { randomUUID } from 'node:crypto';
import type { ToolCall } from '../protocol.ts';

/** An answer's text, and what it calls. */
export interface Spoken {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
}

/** What a call begins with. */
export const callMark = '<tool_call>';

const call = new RegExp(`${callMark}\\s*([\\s\\S]*?)\\s*(?:</tool_call>|$)`, 'g');

/**
 * Takes calls out of an answer, as models write them that were taught to: JSON in `<tool_call>` (Hermes, Qwen), or there a
 * `<function=name>` with a `<parameter=name>` each (Qwen3-Coder). What cannot be read as a call stays text.
 */
export function readToolCalls(answer: string): Spoken {
  const toolCalls: ToolCall[] = [];
  const text = answer.replace(call, (whole, body: string) => {
    const read = readJson(body) ?? readTags(body);
    if (read === undefined) return whole;
    toolCalls.push({ id: `call-${randomUUID()}`, ...read });
    return '';
  });
  return { text: toolCalls.length === 0 ? answer : text.trim(), toolCalls };
}

type Call = Omit<ToolCall, 'id'>;

function readJson(body: string): Call | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null || !('name' in value)) return undefined;
    const { name } = value;
    if (typeof name !== 'string') return undefined;
    const given: unknown = 'arguments' in value ? value.arguments : {};
    return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) };
  } catch {
    return undefined;
  }
}

function readTags(body: string): Call | undefined {
  const name = /^<function=([^>\s]+)>/.exec(body)?.[1];
  if (name === undefined) return undefined;
  const parameters = [...body.matchAll(/<parameter=([^>\s]+)>\n?([\s\S]*?)\n?<\/parameter>/g)];
  const given = parameters.map(([, key = '', value = '']) => [key, valueOf(value)] as const);
  return { name, arguments: JSON.stringify(Object.fromEntries(given)) };
}

/** Numbers, truth values and the like are written bare, and so are texts. */
function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
