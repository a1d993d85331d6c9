import type { Tokenward } from './client.js';
import { Guard, type GuardOptions, type Needs, type Passed, type Presented } from './guard.js';

export interface FetchGuardOptions extends GuardOptions {
  /** The client's address, as the platform says it. Never believe a header that anybody can write. */
  readonly remoteIp?: (request: Request) => string | undefined;
}

/** Headers of one name arrive joined by a comma, which a guard refuses as several credentials. */
const values = (headers: Headers, name: string): string[] => {
  const value = headers.get(name);
  return value === null ? [] : [value];
};

/** A request of the Fetch API, as a guard reads it. Its path is the one that `URL` has: `.` and `..` are gone from it. */
export function presentedBy(request: Request, remoteIp: string | undefined): Presented {
  return {
    authorization: values(request.headers, 'authorization'),
    apiKey: values(request.headers, 'x-api-key'),
    userAgent: request.headers.get('user-agent') ?? undefined,
    method: request.method,
    path: new URL(request.url).pathname,
    remoteIp,
  };
}

/** Around a handler of the Fetch API (Deno, Bun, workers, route handlers): it gets the request and its token. */
export function requireToken<Rest extends unknown[]>(
  client: Tokenward,
  needs: Needs,
  handler: (request: Request, passed: Passed, ...rest: Rest) => Response | Promise<Response>,
  options: FetchGuardOptions = {},
): (request: Request, ...rest: Rest) => Promise<Response> {
  const guard = new Guard(client, needs, options);
  return async (request, ...rest) => {
    const outcome = await guard.check(presentedBy(request, options.remoteIp?.(request)));
    if ('status' in outcome) return new Response(JSON.stringify(outcome.body), { status: outcome.status, headers: outcome.headers });
    return handler(request, outcome, ...rest);
  };
}
