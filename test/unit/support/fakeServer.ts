import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach } from 'node:test';

export interface SeenByServer {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

type Reply = (response: ServerResponse, body: Readonly<Record<string, unknown>>) => void;

/** A server with the interface of OpenAI's, on this machine; `reply` is what it does. */
export class FakeServer {
  readonly seen: SeenByServer[] = [];
  metrics: string | undefined;
  reply: Reply = () => undefined;
  /** Resolves when a client has closed its connection before the answer was complete. */
  closed: Promise<void> = Promise.resolve();
  readonly #server: Server = createServer((request, response) => {
    void this.#serve(request, response);
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  start(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url: path = '', headers } = request;
    if (path === '/metrics') {
      if (this.metrics === undefined) response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': 'text/plain' }).end(this.metrics);
      return;
    }
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = JSON.parse(text) as Record<string, unknown>;
    this.seen.push({ path, authorization: headers.authorization, body });
    this.closed = new Promise((resolve) => {
      response.once('close', () => {
        if (!response.writableFinished) resolve();
      });
    });
    this.reply(response, body);
  }
}

const startEvents = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
};

export const send = (response: ServerResponse, data: unknown): void => {
  if (!response.headersSent) startEvents(response);
  response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`);
};

/** All of these events, and that it is done. */
export const events =
  (...all: readonly unknown[]): Reply =>
  (response) => {
    for (const data of all) send(response, data);
    send(response, '[DONE]');
    response.end();
  };

export function fakeServer(): FakeServer {
  const server = new FakeServer();
  before(() => server.start());
  after(() => {
    server.stop();
  });
  beforeEach(() => {
    server.seen.length = 0;
    server.metrics = undefined;
  });
  return server;
}
