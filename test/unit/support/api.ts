import assert from 'node:assert/strict';
import { request, type IncomingHttpHeaders } from 'node:http';
import { ApiServer, type ApiOptions } from '../../../sidecar/serve/server.ts';
import { loadFake, type FakeAddon, type FakeEngine, type FakeOptions } from './fakeAddon.ts';

export const token = 'a-token';

/** As the fake model is shown conversations, tools included. */
export const chatTemplate =
  '{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}';

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}
interface Call {
  readonly index?: number;
  readonly id: string;
  readonly type: string;
  readonly function: { readonly name: string; readonly arguments: string };
}
interface Said {
  readonly role?: string;
  readonly content?: string | null;
  readonly tool_calls?: readonly Call[];
}
export interface Body {
  readonly id: string;
  readonly object: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly text?: string;
    readonly message?: Said;
    readonly delta?: Said;
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Usage | null;
}
interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, but for a text. */
  readonly body?: unknown;
}

/** Asks a server on this machine with headers that `fetch` would not send. */
export function ask(
  url: string,
  { method, headers = {}, body }: Asked = {},
  bearer = token,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      {
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          authorization: `Bearer ${bearer}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.once('error', reject);
        response.once('end', () => {
          const { statusCode: status = 0, headers: said } = response;
          resolve({ status, headers: said, text });
        });
      },
    );
    asked.once('error', reject);
    asked.end(typeof body === 'string' || body === undefined ? body : JSON.stringify(body));
  });
}

/** The data of a stream's events; the last one says that it is done. */
export function dataOf(text: string): Body[] {
  const events = text.split('\n\n').filter((event) => event !== '' && !event.startsWith(':'));
  assert.ok(events.every((event) => event.startsWith('data: ')));
  assert.equal(events.at(-1), 'data: [DONE]');
  return events.slice(0, -1).map((event) => JSON.parse(event.slice('data: '.length)) as Body);
}

export const bodyOf = ({ text }: Answered): Body => JSON.parse(text) as Body;

export const errorOf = ({ text }: Answered): ErrorBody['error'] =>
  (JSON.parse(text) as ErrorBody).error;

/** A server with a fake model. */
export async function fakeApi(
  fake: FakeOptions = {},
  options: Partial<ApiOptions> = {},
  contextTokens = 0,
): Promise<{ server: ApiServer; addon: FakeAddon; native: FakeEngine; outcomes: string[] }> {
  const { model, native, addon } = await loadFake(
    { ...fake, info: { chatTemplate, ...fake.info } },
    contextTokens,
  );
  const outcomes: string[] = [];
  const server = await ApiServer.start({
    ...{ model, token, port: 0, onAnswered: (line) => outcomes.push(line) },
    ...options,
  });
  assert.ok(server.ok);
  return { server: server.value, addon, native, outcomes };
}
