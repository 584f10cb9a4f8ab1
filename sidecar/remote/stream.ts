import { createParser } from 'eventsource-parser';
import { chunksOf } from '../download/http.ts';

/** One event is never longer, in characters. */
const longestEvent = 2 ** 20;

/**
 * The data of a server's events, up to the one that says that it is done. Throws where the connection breaks off before, or
 * goes silent for `idleMs`. Whoever stops to read closes the connection.
 */
export async function* eventsOf(
  response: Response,
  idleMs: number,
  signal: AbortSignal,
): AsyncGenerator<unknown, void, undefined> {
  let arrived: string[] = [];
  let problem: Error | undefined;
  const parser = createParser({
    onEvent: ({ data }) => arrived.push(data),
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') problem = error;
    },
    maxBufferSize: longestEvent,
  });
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(response, idleMs, signal)) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (problem !== undefined) throw problem;
    const events = arrived;
    arrived = [];
    for (const data of events) {
      if (data === '[DONE]') return;
      yield JSON.parse(data) as unknown;
    }
  }
  throw new Error('the connection broke off');
}
