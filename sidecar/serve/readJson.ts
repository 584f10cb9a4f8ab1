import type { IncomingMessage } from 'node:http';
import { fail, succeed, type Result } from '../result.ts';
import type { ApiError } from './apiError.ts';

/** Of a body; no context holds as much text. */
const mostBytes = 16 * 2 ** 20;

/** The body of a request. One that is too large is read to its end and not kept: who still sends hears no answer. */
export async function readJson(request: IncomingMessage): Promise<Result<unknown, ApiError>> {
  const type = request.headers['content-type'] ?? '';
  if (!/^application\/json *(?:;|$)/i.test(type)) {
    return fail({
      status: 415,
      message: `The body must be JSON, with the header "Content-Type: application/json", not "${type}".`,
    });
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= mostBytes) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (length > mostBytes) {
    const message = `The body has ${length} bytes, and at most ${mostBytes} are read. Send less.`;
    return fail({ status: 413, message });
  }
  try {
    return succeed(JSON.parse(Buffer.concat(chunks).toString()) as unknown);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return fail({ status: 400, message: `The body is not valid JSON: ${reason}` });
  }
}
