import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { basename } from 'node:path';
import type { z } from 'zod';
import type { LoadedModel } from '../engine/engine.ts';
import { failureOf } from '../engine/failure.ts';
import { Line } from '../engine/line.ts';
import { Turns } from '../engine/turns.ts';
import { fail, succeed, type Result } from '../result.ts';
import { apiErrorOf, bodyOf, stopping, wrongBody, type ApiError } from './apiError.ts';
import { chatWork } from './chats.ts';
import { completionWork } from './completions.ts';
import { chatFormat, completionFormat, usageOf, type Format } from './format.ts';
import { hasToken, strangerIn } from './guard.ts';
import { readJson } from './readJson.ts';
import { chatBody, completionBody, type CommonBody } from './schema.ts';
import { EventStream } from './sse.ts';
import { warmUp } from './warmUp.ts';
import type { Shared, Work, Written } from './work.ts';

export interface ApiOptions {
  readonly model: LoadedModel;
  /** What every request but `/health` has to bring. */
  readonly token: string;
  /** 0: one that is free. */
  readonly port: number;
  /** Requests that run or wait; what comes beside them is refused. */
  readonly mostRequests?: number;
  /** How often those who wait for the first text are told that they still do, in milliseconds. */
  readonly aliveMs?: number;
  /** What became of a request, in a line for people. */
  readonly onAnswered?: (line: string) => void;
}

/** What is asked in the body of a request. */
interface Endpoint<Body extends CommonBody> {
  readonly schema: z.ZodType<Body>;
  readonly format: Format;
  readonly prepare: (shared: Shared, body: Body) => Promise<Result<Work, ApiError>>;
}

/** Answers, and says in a few words how. */
type Route = (request: IncomingMessage, response: ServerResponse) => Promise<string> | string;

/** This machine alone. */
const address = '127.0.0.1';

const most = { requests: 32, aliveMs: 15_000 } as const;

const completions = {
  ...{ schema: completionBody, format: completionFormat, prepare: completionWork },
};
const chats = { schema: chatBody, format: chatFormat, prepare: chatWork };

/** Serves a loaded model over HTTP with the interface of OpenAI's. Completions go before conversations, each one after the other. */
export class ApiServer {
  readonly #options: ApiOptions;
  readonly #modelId: string;
  readonly #routes: Readonly<Record<string, readonly [method: string, route: Route]>>;
  readonly #shared: Shared;
  readonly #server: Server;
  /** Of the requests that arrive, wait or run. */
  readonly #aborts = new Set<AbortController>();
  readonly #answering = new Set<Promise<void>>();
  #isClosing = false;

  private constructor(options: ApiOptions) {
    this.#options = options;
    const { model } = options;
    const id = basename(model.options.modelPath).replace(/\.gguf$/i, '');
    this.#modelId = id;
    const described = {
      ...{ id, object: 'model', created: now(), owned_by: 'sightline' },
      max_model_len: model.native.info.contextTokens,
    };
    const sends =
      (body: object): Route =>
      (_, response) =>
        sendJson(response, 200, body);
    this.#routes = {
      '/health': ['GET', sends({ status: 'ok' })],
      '/v1/models': ['GET', sends({ object: 'list', data: [described] })],
      [`/v1/models/${encodeURIComponent(id)}`]: ['GET', sends(described)],
      '/v1/completions': ['POST', (...both) => this.#answer(...both, completions)],
      '/v1/chat/completions': ['POST', (...both) => this.#answer(...both, chats)],
    };
    this.#shared = { model, turns: new Turns(), completions: new Line(), chats: new Line() };
    this.#server = createServer((request, response) => {
      const answering = this.#serve(request, response);
      this.#answering.add(answering);
      void answering.finally(() => this.#answering.delete(answering));
    });
  }

  /** Fails with a line for people where the port cannot be used. */
  static async start(options: ApiOptions): Promise<Result<ApiServer, string>> {
    const server = new ApiServer(options);
    const problem = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      server.#server.once('error', resolve);
      server.#server.listen(options.port, address, () => {
        resolve(undefined);
      });
    });
    if (problem !== undefined) {
      const reason = problem.code === 'EADDRINUSE' ? 'is in use' : `fails: ${problem.message}`;
      return fail(`port ${options.port} ${reason}; choose another, or 0 for one that is free`);
    }
    await warmUp(options.model);
    return succeed(server);
  }

  /** What clients call the model. */
  get modelId(): string {
    return this.#modelId;
  }

  /** What clients call the base URL. */
  get url(): string {
    const bound = this.#server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : this.#options.port;
    return `http://${address}:${port}/v1`;
  }

  /** Ends what runs, and says so to those who wait for it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    for (const abort of this.#aborts) abort.abort();
    await Promise.all(this.#answering);
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const [path = ''] = url.split('?');
    const outcome = await this.#route(method, path, request, response).catch((error: unknown) =>
      refuse(response, apiErrorOf(failureOf(error))),
    );
    this.#options.onAnswered?.(`${method} ${path}: ${outcome}`);
  }

  async #route(
    method: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<string> {
    const stranger = strangerIn(request.headers);
    if (stranger !== undefined) return refuse(response, stranger);
    if (path !== '/health' && !hasToken(request.headers, this.#options.token)) {
      return refuse(response, unauthorised);
    }
    const found = Object.hasOwn(this.#routes, path) ? this.#routes[path] : undefined;
    if (found === undefined) {
      const paths = Object.keys(this.#routes).join(', ');
      return refuse(response, {
        status: 404,
        message: `There is no ${path}. There are ${paths}.`,
      });
    }
    const [allowed, route] = found;
    if (method === allowed) return route(request, response);
    const message = `${path} takes ${allowed}, not ${method}.`;
    return refuse(response, { status: 405, message, headers: { allow: allowed } });
  }

  async #answer<Body extends CommonBody>(
    request: IncomingMessage,
    response: ServerResponse,
    { schema, format, prepare }: Endpoint<Body>,
  ): Promise<string> {
    const abort = new AbortController();
    abort.signal.addEventListener('abort', () => {
      if (!request.complete) request.destroy();
    });
    response.once('close', () => {
      if (!response.writableFinished) abort.abort();
    });
    this.#aborts.add(abort);
    try {
      const sent = await readJson(request);
      if (!sent.ok) return refuse(response, sent.error);
      const parsed = schema.safeParse(sent.value);
      if (!parsed.success) return refuse(response, wrongBody(parsed.error));
      const body = parsed.data;
      const refusal = this.#refusal(body);
      if (refusal !== undefined) return refuse(response, refusal);
      const work = await prepare(this.#shared, body);
      if (!work.ok) return refuse(response, work.error);
      const written = await (body.stream === true
        ? this.#stream(response, format, work.value, body, abort.signal)
        : this.#whole(response, format, work.value, abort.signal));
      const { promptTokens, cachedTokens, generatedTokens } = written;
      return `${promptTokens} tokens, ${cachedTokens} of them cached; ${generatedTokens} written`;
    } catch (error) {
      return refuse(response, errorOf(error, abort.signal));
    } finally {
      this.#aborts.delete(abort);
    }
  }

  /** Why a body that is well-formed is not answered. */
  #refusal({ model }: CommonBody): ApiError | undefined {
    if (!isLeftOut(model) && model !== this.#modelId) {
      return {
        ...{ status: 400, param: 'model', code: 'model_not_found' },
        message: `There is no model ${JSON.stringify(model)}: model must be ${JSON.stringify(this.#modelId)}, or left out.`,
      };
    }
    if (this.#isClosing) return stopping;
    const { mostRequests = most.requests } = this.#options;
    if (this.#aborts.size <= mostRequests) return undefined;
    return {
      ...{ status: 503, code: 'queue_full', headers: { 'retry-after': '1' } },
      message: `${mostRequests} requests are waiting already. Try again later.`,
    };
  }

  async #whole(
    response: ServerResponse,
    format: Format,
    work: Work,
    signal: AbortSignal,
  ): Promise<Written> {
    const head = this.#head(format.idPrefix, format.object);
    const written = await work(signal, () => undefined);
    const choices = [choice(format.whole(written), written.finish)];
    sendJson(response, 200, { ...head, choices, usage: usageOf(written) });
    return written;
  }

  /** What fails from here on is told as an event of its own. */
  async #stream(
    response: ServerResponse,
    format: Format,
    work: Work,
    { stream_options: options }: CommonBody,
    signal: AbortSignal,
  ): Promise<Written> {
    const head = this.#head(format.idPrefix, format.pieceObject);
    const withUsage = options?.include_usage === true;
    const events = new EventStream(response, this.#options.aliveMs ?? most.aliveMs);
    const send = (part: object, finish?: Written['finish']): void => {
      const choices = [choice(part, finish)];
      events.send({ ...head, choices, ...(withUsage ? { usage: null } : {}) });
    };
    try {
      for (const part of format.begin) send(part);
      const written = await work(signal, (text) => {
        send(format.piece(text));
      });
      for (const part of format.calls(written)) send(part);
      send(format.end, written.finish);
      if (withUsage) events.send({ ...head, choices: [], usage: usageOf(written) });
      events.done();
      return written;
    } catch (error) {
      events.send(bodyOf(errorOf(error, signal)));
      throw error;
    } finally {
      events.close();
    }
  }

  #head(idPrefix: string, object: string): object {
    const id = `${idPrefix}-${randomUUID()}`;
    return { id, object, created: now(), model: this.#modelId };
  }
}

const unauthorised: ApiError = {
  ...{ status: 401, code: 'invalid_api_key', headers: { 'www-authenticate': 'Bearer' } },
  message:
    'The token is missing or wrong. Send "Authorization: Bearer TOKEN" with the one that the server was started with.',
};

const isLeftOut = (text: string | null | undefined): boolean =>
  text === null || text === undefined || text === '';

/** Who is aborted and still listens is told that the server stops. */
const errorOf = (error: unknown, signal: AbortSignal): ApiError =>
  signal.aborted ? stopping : apiErrorOf(failureOf(error));

/** In seconds, as the interface has it. */
const now = (): number => Math.floor(Date.now() / 1000);

const choice = (part: object, finish: Written['finish'] | null = null): object => ({
  ...{ index: 0, ...part },
  ...{ logprobs: null, finish_reason: finish },
});

function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): string {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
  return String(status);
}

/** Says why there is no answer, where there is someone to tell and nothing was sent yet. */
function refuse(response: ServerResponse, error: ApiError): string {
  if (response.destroyed) return 'given up by the client';
  if (!response.headersSent) sendJson(response, error.status, bodyOf(error), error.headers);
  return `${error.status} ${error.message}`;
}
