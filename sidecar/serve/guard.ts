import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ApiError } from './apiError.ts';

/** Pages of other sites reach this machine too, and a name of theirs may be made to lead here: neither is let in. */
export function strangerIn({ host, origin }: IncomingHttpHeaders): ApiError | undefined {
  if (!isLoopback(`http://${host ?? ''}`)) {
    return {
      ...{ status: 403, code: 'host_not_allowed' },
      message: 'The Host header names another machine. Ask for 127.0.0.1 or localhost.',
    };
  }
  if (origin !== undefined && !isLoopback(origin)) {
    return {
      ...{ status: 403, code: 'origin_not_allowed' },
      message:
        'Pages of other sites get no answer here: the Origin header must be of this machine.',
    };
  }
  return undefined;
}

const isLoopback = (url: string): boolean =>
  URL.canParse(url) &&
  /^https?:$/.test(new URL(url).protocol) &&
  /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(new URL(url).hostname);

/** How long the comparison takes tells nothing of the token. */
export function hasToken({ authorization = '' }: IncomingHttpHeaders, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(
    digest(authorization.replace(/^bearer +/i, 'Bearer ')),
    digest(`Bearer ${token}`),
  );
}
