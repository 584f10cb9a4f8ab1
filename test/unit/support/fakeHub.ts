import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before } from 'node:test';

export interface FakeRepository {
  readonly files: Readonly<Record<string, Buffer>>;
  readonly licence?: string;
  /** Only those with this token see it. */
  readonly token?: string;
}

export interface SeenRequest {
  /** The hub itself, or the host that it redirects to for contents. */
  readonly host: 'hub' | 'storage';
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Answers a request in place of the usual way; what it leaves unanswered stays so. */
export type Answer = (response: ServerResponse, request: IncomingMessage, content: Buffer) => void;

export const sha256 = (content: Buffer): string =>
  createHash('sha256').update(content).digest('hex');

/**
 * A hub on this machine: the API, `resolve` addresses that redirect to storage on another port, ranges, the headers of large
 * files. `next` says how the next requests for contents are answered, in order.
 */
export class FakeHub {
  readonly repositories = new Map<string, FakeRepository>();
  readonly seen: SeenRequest[] = [];
  readonly next: Answer[] = [];
  /** In place of the hub's own answers. */
  readonly nextOfHub: Answer[] = [];
  /** What the storage has is another content than what was published. */
  tampered: ((content: Buffer) => Buffer) | undefined;
  readonly #hub = createServer((request, response) => {
    this.#answer(request, response);
  });
  readonly #storage = createServer((request, response) => {
    this.#store(request, response);
  });

  get endpoint(): string {
    return addressOf(this.#hub);
  }

  get storage(): string {
    return addressOf(this.#storage);
  }

  async start(): Promise<void> {
    await Promise.all([this.#hub, this.#storage].map(listen));
  }

  stop(): void {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      server.close();
    }
  }

  reset(): void {
    this.repositories.clear();
    this.seen.length = this.next.length = this.nextOfHub.length = 0;
    this.tampered = undefined;
  }

  commitOf(name: string): string {
    const files = this.repositories.get(name)?.files ?? {};
    const hash = createHash('sha1');
    for (const [file, content] of Object.entries(files)) hash.update(file).update(content);
    return hash.digest('hex');
  }

  /** Requests for contents, as `range` of each. */
  ranges(): (string | undefined)[] {
    return this.seen.filter(({ host }) => host === 'storage').map(({ range }) => range);
  }

  #note(host: SeenRequest['host'], { url = '', headers }: IncomingMessage): string {
    this.seen.push({ host, url, range: headers.range, authorization: headers.authorization });
    return decodeURIComponent(new URL(url, 'http://hub').pathname);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = this.#note('hub', request);
    const own = this.nextOfHub.shift();
    if (own !== undefined) {
      own(response, request, Buffer.alloc(0));
      return;
    }
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/main$/.exec(path);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([0-9a-f]{40})\/(.+)$/.exec(path);
    const name = api?.[1] ?? file?.[1] ?? '';
    const repository = this.repositories.get(name);
    if (repository === undefined) {
      // The hub does not say whether there is such a repository to those who may not know.
      response.writeHead(request.headers.authorization === undefined ? 401 : 404).end();
      return;
    }
    const { token } = repository;
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(request.headers.authorization === undefined ? 401 : 403).end();
      return;
    }
    if (api !== null) {
      this.#describe(name, repository, response);
      return;
    }
    const content = repository.files[file?.[3] ?? ''];
    if (content === undefined || file?.[2] !== this.commitOf(name)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(302, {
      location: `${this.storage}/${encodeURIComponent(name)}/${encodeURIComponent(file[3] ?? '')}?signature=1`,
      'x-repo-commit': this.commitOf(name),
      'x-linked-etag': `"${sha256(content)}"`,
      'x-linked-size': content.length,
    });
    response.end();
  }

  #describe(name: string, { files, licence, token }: FakeRepository, response: ServerResponse) {
    const siblings = Object.entries(files).map(([rfilename, content]) => ({
      rfilename,
      size: content.length,
      blobId: createHash('sha1').update(content).digest('hex'),
      lfs: { sha256: sha256(content), size: content.length, pointerSize: 134 },
    }));
    const about = {
      id: name,
      sha: this.commitOf(name),
      gated: token === undefined ? false : 'manual',
      cardData: licence === undefined ? {} : { license: licence },
      siblings: [{ rfilename: '.gitattributes', size: 1 }, ...siblings],
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(about));
  }

  #store(request: IncomingMessage, response: ServerResponse): void {
    this.#note('storage', request);
    const [, name = '', file = ''] = new URL(request.url ?? '', 'http://storage').pathname.split(
      '/',
    );
    const published = this.repositories.get(decodeURIComponent(name))?.files ?? {};
    let content = published[decodeURIComponent(file)] ?? Buffer.alloc(0);
    content = this.tampered?.(content) ?? content;
    const own = this.next.shift();
    if (own !== undefined) own(response, request, content);
    else whole(response, request, content);
  }
}

/** As a server that knows ranges answers. */
export const whole: Answer = (response, request, content) => {
  const { from, to } = rangeOf(request, content);
  if (from >= content.length) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  writeHead(response, request, content);
  response.end(content.subarray(from, to + 1));
};

/** Breaks off when it has sent so many bytes, and `arrived` has: what is on its way would be lost. */
export const cut =
  (bytes: number, arrived: Promise<void>): Answer =>
  (response, request, content) => {
    const { from } = rangeOf(request, content);
    writeHead(response, request, content);
    response.write(content.subarray(from, from + bytes));
    void arrived.then(() => response.destroy());
  };

/** Sends so many bytes, and then nothing more. */
export const stall =
  (bytes: number): Answer =>
  (response, request, content) => {
    const { from } = rangeOf(request, content);
    writeHead(response, request, content);
    response.write(content.subarray(from, from + bytes));
  };

export const status =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) => {
    response.writeHead(code, headers).end();
  };

/** As a server that knows no ranges. */
export const withoutRanges: Answer = (response, _request, content) => {
  response.writeHead(200, { 'content-length': content.length }).end(content);
};

function rangeOf({ headers }: IncomingMessage, content: Buffer): { from: number; to: number } {
  const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const last = content.length - 1;
  return { from: Number(from), to: to === '' ? last : Math.min(Number(to), last) };
}

function writeHead(response: ServerResponse, request: IncomingMessage, content: Buffer): void {
  const { from, to } = rangeOf(request, content);
  const length = { 'content-length': to + 1 - from };
  if (request.headers.range === undefined) response.writeHead(200, length);
  else {
    response.writeHead(206, {
      ...length,
      'content-range': `bytes ${from}-${to}/${content.length}`,
    });
  }
}

const listen = (server: Server): Promise<void> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const addressOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

/** One for the tests of a suite, empty before each. */
export function fakeHub(): FakeHub {
  const hub = new FakeHub();
  before(() => hub.start());
  after(() => {
    hub.stop();
  });
  return hub;
}
