import { z } from 'zod';
import { askForBytes, causeOf, isSafe } from '../download/http.ts';
import { cancelled, type Failure } from '../engine/failure.ts';
import type { ChatMessage, ChatTool, ModelInSight, ToolCall } from '../protocol.ts';
import { fail, succeed, type Result } from '../result.ts';
import { fimTemplateOf } from './fim.ts';
import { readMetrics, type ServerUsage } from './metrics.ts';
import { eventsOf } from './stream.ts';

/** A team's server with the interface of OpenAI's: vLLM, llama-server, SGLang. */
export interface ServerOptions {
  /** With or without `/v1` at its end. */
  readonly url: string;
  /** As the server calls it. */
  readonly model: string;
  readonly token?: string;
  /** A server that sends nothing for so long is given up, in milliseconds; the first token may take as long. */
  readonly idleMs: number;
}

/** Of code, about, where only the server can count: rather fewer than there are. */
export const serverCharactersPerToken = 3;

export interface RemoteCompletion {
  readonly prefix: string;
  readonly suffix: string;
  readonly maxTokens: number;
  readonly temperature: number;
}

export interface RemoteChat {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ChatTool[];
  readonly maxTokens: number;
  readonly temperature: number;
}

export interface RemoteAnswer {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  /** stopped: the listener had enough. */
  readonly finish: 'end' | 'length' | 'stopped';
  /** As the server counts, where it says so. */
  readonly promptTokens?: number;
  readonly reusedTokens?: number;
  readonly generatedTokens?: number;
}

/** Told the text as it comes; true: that is enough. */
export type OnText = (text: string) => boolean;

const event = z.object({
  choices: z
    .array(
      z.object({
        text: z.string().nullish(),
        delta: z
          .object({
            content: z.string().nullish(),
            tool_calls: z
              .array(
                z.object({
                  index: z.int().min(0).max(999),
                  id: z.string().nullish(),
                  function: z
                    .object({ name: z.string().nullish(), arguments: z.string().nullish() })
                    .nullish(),
                }),
              )
              .nullish(),
          })
          .nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .default([]),
  usage: z
    .object({
      prompt_tokens: z.int().nullish(),
      completion_tokens: z.int().nullish(),
      prompt_tokens_details: z.object({ cached_tokens: z.int().nullish() }).nullish(),
    })
    .nullish(),
});

type Event = z.infer<typeof event>;

const refusal = z.union([
  z.object({ error: z.object({ message: z.string() }) }).transform(({ error }) => error.message),
  z.object({ error: z.string() }).transform(({ error }) => error),
  z.object({ message: z.string() }).transform(({ message }) => message),
]);

const mostMetricsBytes = 4 * 2 ** 20;
const longestReason = 300;

/** Asks such a server. Cancelling closes the connection, on which it stops to compute. Nothing is asked twice. */
export class RemoteServer {
  readonly #options: ServerOptions;
  /** Without `/v1`. */
  readonly #root: string;

  private constructor(options: ServerOptions, root: string) {
    this.#options = options;
    this.#root = root;
  }

  /** Over a network a token is sent encrypted only. */
  static at(options: ServerOptions): Result<RemoteServer, Failure> {
    const root = options.url.replace(/\/+$/, '').replace(/\/v1$/, '');
    const url = URL.canParse(root) ? new URL(root) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '') {
      return failed(`${options.url} is no address of a server: it must be like https://host:8000.`);
    }
    if (options.token !== undefined && !isSafe(url)) {
      return failed(
        `${url.origin} is not https: the token is not sent there. Use https, or a server that needs no token.`,
      );
    }
    return succeed(new RemoteServer(options, root));
  }

  /** Continues a text, with what is behind it in sight where the model knows how. */
  complete(
    { prefix, suffix, maxTokens, temperature }: RemoteCompletion,
    onText: OnText,
    signal: AbortSignal,
  ): Promise<Result<RemoteAnswer, Failure>> {
    const template = fimTemplateOf(this.#options.model);
    const prompt =
      template === undefined
        ? { prompt: prefix, ...(suffix === '' ? {} : { suffix }) }
        : { prompt: template.join(prefix, suffix), stop: template.stops };
    const sampling = { max_tokens: maxTokens, temperature };
    return this.#stream('/v1/completions', { ...prompt, ...sampling }, onText, signal);
  }

  chat(
    { messages, tools, maxTokens, temperature }: RemoteChat,
    onText: OnText,
    signal: AbortSignal,
  ): Promise<Result<RemoteAnswer, Failure>> {
    const asked = {
      messages: messages.map(messageOf),
      ...(tools.length === 0 ? {} : { tools: tools.map(toolOf) }),
      ...{ max_tokens: maxTokens, temperature },
    };
    return this.#stream('/v1/chat/completions', asked, onText, signal);
  }

  /** For people. */
  get name(): string {
    return `${this.#options.model} on ${new URL(this.#root).host}`;
  }

  /** The same with what the server publishes of its cache. */
  async describe(): Promise<string> {
    const usage = await this.usage(AbortSignal.timeout(this.#options.idleMs));
    if (usage === undefined) return this.name;
    const { cacheUsage, running, waiting } = usage;
    const cache =
      cacheUsage === undefined ? '' : `, its cache ${Math.round(cacheUsage * 100)} % full`;
    const busy = running === undefined ? '' : `, requests: ${running} running`;
    const queue = waiting === undefined ? '' : `, ${waiting} waiting`;
    return this.name + cache + busy + queue;
  }

  /** As a loaded model is shown; what only the server knows of it is 0. */
  inSight(contextTokens: number): ModelInSight {
    const { model, url } = this.#options;
    return {
      ...{ name: model, path: url, architecture: '', parameters: 0, fileBytes: 0 },
      ...{ contextTokens, trainedTokens: contextTokens },
      ...{ canChat: true, canCallTools: true },
      canFillInTheMiddle: true,
    };
  }

  /** What the server publishes of its cache; undefined: nothing. */
  async usage(signal: AbortSignal): Promise<ServerUsage | undefined> {
    const url = `${this.#root}/metrics`;
    if (!isSafe(new URL(url))) return undefined;
    const { token, idleMs } = this.#options;
    const once = { idleMs, retries: 0, wait: () => Promise.resolve() };
    const secret = token === undefined ? {} : { token };
    const read = await askForBytes({ url, signal, ...secret }, mostMetricsBytes, once);
    if (!read.ok) return undefined;
    const usage = readMetrics(new TextDecoder().decode(read.value));
    return Object.keys(usage).length === 0 ? undefined : usage;
  }

  async #stream(
    path: string,
    body: object,
    onText: OnText,
    signal: AbortSignal,
  ): Promise<Result<RemoteAnswer, Failure>> {
    const host = new URL(this.#root).host;
    const closing = new AbortController();
    const either = AbortSignal.any([signal, closing.signal]);
    try {
      const response = await this.#post(path, body, either);
      if (!response.ok) return await refused(host, response, this.#options.idleMs, either);
      return await this.#read(response, onText, either);
    } catch (error) {
      if (signal.aborted) return fail(cancelled);
      return failed(
        `${host} failed: ${causeOf(error)}. Check sightline.server.url, and the server.`,
      );
    } finally {
      closing.abort();
    }
  }

  async #post(path: string, body: object, signal: AbortSignal): Promise<Response> {
    const { model, token, idleMs } = this.#options;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new Error(`no answer for ${idleMs / 1000} s`));
    }, idleMs);
    try {
      return await fetch(this.#root + path, {
        method: 'POST',
        // What is being written is for this server, and for none that it names.
        redirect: 'error',
        headers: {
          'content-type': 'application/json',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body: JSON.stringify({
          model,
          stream: true,
          stream_options: { include_usage: true },
          ...body,
        }),
        signal: AbortSignal.any([signal, late.signal]),
      });
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(
    response: Response,
    onText: OnText,
    signal: AbortSignal,
  ): Promise<Result<RemoteAnswer, Failure>> {
    let text = '';
    let finish: RemoteAnswer['finish'] = 'end';
    let usage: Event['usage'];
    const calls: { id: string; name: string; arguments: string }[] = [];
    for await (const data of eventsOf(response, this.#options.idleMs, signal)) {
      const reason = refusal.safeParse(data);
      if (reason.success) return failed(`The server failed: ${plain(reason.data)}.`);
      const { choices, usage: counted } = event.parse(data);
      usage = counted ?? usage;
      const [choice] = choices;
      if (choice?.finish_reason === 'length') finish = 'length';
      for (const call of choice?.delta?.tool_calls ?? []) {
        const known = (calls[call.index] ??= { id: '', name: '', arguments: '' });
        known.id ||= call.id ?? '';
        known.name += call.function?.name ?? '';
        known.arguments += call.function?.arguments ?? '';
      }
      const piece = choice?.text ?? choice?.delta?.content ?? '';
      if (piece === '') continue;
      text += piece;
      if (onText(piece)) {
        finish = 'stopped';
        break;
      }
    }
    const { prompt_tokens: prompt, completion_tokens: generated } = usage ?? {};
    const reused = usage?.prompt_tokens_details?.cached_tokens;
    return succeed({
      text,
      // Of a list with gaps what is there.
      toolCalls: Object.values(calls),
      finish,
      ...(typeof prompt === 'number' ? { promptTokens: prompt } : {}),
      ...(typeof reused === 'number' ? { reusedTokens: reused } : {}),
      ...(typeof generated === 'number' ? { generatedTokens: generated } : {}),
    });
  }
}

function failed(message: string): Result<never, Failure> {
  return fail({ code: 'SERVER_FAILED', message });
}

/** No links, and no more than a line. */
const plain = (text: string): string =>
  text
    .replace(/[[\]]|\s+/g, ' ')
    .slice(0, longestReason)
    .replace(/[. ]+$/, '');

async function refused(
  host: string,
  response: Response,
  idleMs: number,
  signal: AbortSignal,
): Promise<Result<never, Failure>> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(idleMs)]);
  const said = await readUpTo(response, 2 ** 16, late);
  const reason = refusal.safeParse(said);
  const why = reason.success ? `: ${plain(reason.data)}` : '';
  const advice =
    response.status === 401 || response.status === 403
      ? 'Use "Sightline: Set Server Token".'
      : 'Check sightline.server.url and sightline.server.model.';
  return failed(`${host} answered ${response.status}${why}. ${advice}`);
}

async function readUpTo(response: Response, most: number, signal: AbortSignal): Promise<unknown> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  if (body === null) return undefined;
  const reader = body.getReader();
  const stop = (): void => {
    void reader.cancel().catch(() => undefined);
  };
  signal.addEventListener('abort', stop, { once: true });
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || text.length > most) break;
      text += decoder.decode(value, { stream: true });
    }
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

const messageOf = ({ role, content, toolCalls, toolCallId }: ChatMessage): object => ({
  role,
  content,
  ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  ...(toolCalls === undefined || toolCalls.length === 0
    ? {}
    : {
        tool_calls: toolCalls.map(({ id, name, arguments: given }) => ({
          id,
          type: 'function',
          function: { name, arguments: given },
        })),
      }),
});

const toolOf = ({ name, description, parameters }: ChatTool): object => ({
  type: 'function',
  function: { name, description, ...(parameters === undefined ? {} : { parameters }) },
});
