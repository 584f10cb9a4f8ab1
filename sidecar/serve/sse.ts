import type { ServerResponse } from 'node:http';

/** Server-sent events, as OpenAI's interface has them. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #alive: NodeJS.Timeout;

  /** A comment every `aliveMs` keeps those who wait for the first text from giving up. */
  constructor(response: ServerResponse, aliveMs: number) {
    this.#response = response;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
    });
    response.flushHeaders();
    this.#alive = setInterval(() => response.write(': waiting\n\n'), aliveMs);
  }

  send(data: object): void {
    this.#response.write(`data: ${JSON.stringify(data)}\n\n`);
  }

  /** All has been sent. */
  done(): void {
    this.#response.write('data: [DONE]\n\n');
  }

  close(): void {
    clearInterval(this.#alive);
    this.#response.end();
  }
}
