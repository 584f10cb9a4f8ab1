import { setTimeout as sleep } from 'node:timers/promises';
import { cancelled, type Failure } from '../engine/failure.ts';
import { fail, succeed, type Result } from '../result.ts';

/** What is asked of a server, and how long it is waited for. */
export interface HttpRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent to the origin of `url` only, and to no other that it redirects to. */
  readonly token?: string;
  readonly signal: AbortSignal;
}

/** How patient requests are; tests are less so. */
export interface Patience {
  /** A server that sends nothing for so long is given up, in milliseconds. */
  readonly idleMs: number;
  /** How often one is asked again without having sent anything new. */
  readonly retries: number;
  /** Waits before it is asked again. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export const patience: Patience = {
  idleMs: 30_000,
  retries: 5,
  wait: (ms, signal) => sleep(ms, undefined, { signal }),
};

export interface Answer {
  readonly response: Response;
  /** Of the server that was asked, where it redirected to another. */
  readonly first: Headers;
}

/** A server's refusal, or none of its answers; `again`: it may help to ask once more, after so many milliseconds where it says so. */
export interface Refusal extends Failure {
  readonly again: boolean;
  readonly afterMs?: number;
}

const mostRedirects = 5;
/** Who asks to be left alone for longer is not waited for. */
const mostWaitMs = 5 * 60_000;

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

const isLoopback = ({ hostname }: URL): boolean => loopback.test(hostname);

/** Over https, or without it on this machine: a mirror, a test. */
export const isSafe = (url: URL): boolean =>
  url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url));

/** `url` as it may be asked for; a redirection by a server elsewhere does not lead onto this machine. */
function safeUrl(text: string, from?: URL): URL | undefined {
  const url = URL.canParse(text, from?.href) ? new URL(text, from) : undefined;
  if (url === undefined || !isSafe(url)) return undefined;
  if (url.username !== '' || url.password !== '') return undefined;
  return from !== undefined && isLoopback(url) && !isLoopback(from) ? undefined : url;
}

/**
 * Asks once, following redirections. Resolves to an answer with status 200 to 299 or 416, whose body is still to be read; the
 * wait for its head is bounded by `idleMs`.
 */
export async function ask(
  request: HttpRequest,
  { idleMs }: Pick<Patience, 'idleMs'>,
): Promise<Result<Answer, Refusal>> {
  const asked = safeUrl(request.url);
  if (asked === undefined) return refuse(`${request.url} is no https address`, false);
  let url = asked;
  let first: Headers | undefined;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const headers = new Headers(request.headers);
    // A file's bytes are wanted as they are, to be counted and continued.
    headers.set('accept-encoding', 'identity');
    if (request.token !== undefined && url.origin === asked.origin) {
      headers.set('authorization', `Bearer ${request.token}`);
    }
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort();
    }, idleMs);
    let response: Response;
    try {
      const signal = AbortSignal.any([request.signal, late.signal]);
      response = await fetch(url, { headers, redirect: 'manual', signal });
    } catch (error) {
      if (request.signal.aborted) return fail({ ...cancelled, again: false });
      const reason = late.signal.aborted ? `no answer for ${idleMs / 1000} s` : causeOf(error);
      return refuse(`${url.host} cannot be reached: ${reason}`, true);
    } finally {
      clearTimeout(timer);
    }
    first ??= response.headers;
    const location = response.headers.get('location');
    if (response.status >= 300 && response.status < 400 && location !== null) {
      await response.body?.cancel();
      const next = safeUrl(location, url);
      if (next === undefined) {
        return refuse(`${url.host} redirects to an address that is not https`, false);
      }
      url = next;
      continue;
    }
    if (response.ok || response.status === 416) return succeed({ response, first });
    await response.body?.cancel();
    return fail(refusalOf(response, url));
  }
  return refuse(`${asked.host} redirects in circles`, false);
}

function refuse(reason: string, again: boolean): Result<never, Refusal> {
  return fail({ code: 'DOWNLOAD_FAILED', message: `${reason}.`, again });
}

function refusalOf({ status, headers }: Response, { host, pathname }: URL): Refusal {
  const what = `${host} answered ${status}`;
  if (status === 401 || status === 403) {
    return {
      code: 'ACCESS_DENIED',
      message: `${what}: ${pathname} is not public, or its licence is to be accepted first. Accept it on its page, then use "Sightline: Set Hugging Face Token" with a token that may read it.`,
      again: false,
    };
  }
  if (status === 404) {
    return { code: 'DOWNLOAD_FAILED', message: `${what}: it has no ${pathname}.`, again: false };
  }
  const afterMs = waitAsked(headers.get('retry-after'));
  const again = status === 429 || status === 408 || status >= 500;
  return {
    code: 'DOWNLOAD_FAILED',
    message: `${what}.`,
    again: again && (afterMs ?? 0) <= mostWaitMs,
    ...(afterMs === undefined ? {} : { afterMs }),
  };
}

/** `Retry-After`: seconds, or a date. */
function waitAsked(value: string | null): number | undefined {
  if (value === null) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : undefined;
}

/** What `fetch` failed of: it says only that it failed. */
export function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== ''
    ? error.cause.message
    : error.message;
}

/** Waits as the server wants it, or longer each time; false: it was aborted meanwhile. */
export async function waitForNext(
  refusal: Pick<Refusal, 'afterMs'>,
  attempt: number,
  { wait }: Patience,
  signal: AbortSignal,
): Promise<boolean> {
  const backoff = Math.min(30_000, 500 * 2 ** attempt) * (0.5 + Math.random() / 2);
  try {
    await wait(refusal.afterMs ?? backoff, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return !signal.aborted;
}

/** Asks until there is an answer, and reads at most so many bytes of it. */
export async function askForBytes(
  request: HttpRequest,
  mostBytes: number,
  patient: Patience = patience,
): Promise<Result<Uint8Array, Failure>> {
  for (let attempt = 0; ; attempt++) {
    const outcome = await readOnce(request, mostBytes, patient);
    if (outcome.ok) return outcome;
    const { again, afterMs, ...failure } = outcome.error;
    if (!again || attempt >= patient.retries) return fail(failure);
    const told = afterMs === undefined ? {} : { afterMs };
    if (!(await waitForNext(told, attempt, patient, request.signal))) return fail(cancelled);
  }
}

async function readOnce(
  request: HttpRequest,
  mostBytes: number,
  { idleMs }: Patience,
): Promise<Result<Uint8Array, Refusal>> {
  const asked = await ask(request, { idleMs });
  if (!asked.ok) return asked;
  const { response } = asked.value;
  if (!response.ok) return fail(refusalOf(response, new URL(request.url)));
  const chunks: Uint8Array[] = [];
  let received = 0;
  try {
    for await (const chunk of chunksOf(response, idleMs, request.signal)) {
      received += chunk.length;
      if (received > mostBytes) return refuse(`${request.url} is longer than it may be`, false);
      chunks.push(chunk);
    }
  } catch (error) {
    if (request.signal.aborted) return fail({ ...cancelled, again: false });
    return refuse(`${new URL(request.url).host} broke off: ${causeOf(error)}`, true);
  }
  return succeed(Buffer.concat(chunks));
}

/** A body's pieces as they come; throws where none comes for `idleMs`. Whoever stops to read ends the connection. */
export async function* chunksOf(
  response: Response,
  idleMs: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read(), idleMs, signal);
      if (done) return;
      yield value;
    }
  } finally {
    // What was not read is not waited for.
    void reader.cancel().catch(() => undefined);
  }
}

function inTime<T>(promise: Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      settle();
      reject(new Error(`nothing came for ${ms / 1000} s`));
    }, ms);
    const stop = (): void => {
      settle();
      reject(new Error('it was cancelled'));
    };
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    promise.then(resolve, reject).finally(settle);
  });
}
