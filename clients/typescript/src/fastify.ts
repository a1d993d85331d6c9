import type { onRequestAsyncHookHandler } from 'fastify';

import type { Tokenward } from './client.js';
import { Guard, type GuardOptions, type Needs, type Passed } from './guard.js';
import { pathOf, valuesOf } from './node.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The token of the request; set by `requireToken`. */
    tokenward?: Passed;
  }
}

/**
 * An `onRequest` hook of Fastify 4 and 5, for a server, a plugin or a route. What passes has `request.tokenward`. The
 * client's address is `request.ip`: set Fastify's `trustProxy` where a proxy stands before it.
 */
export function requireToken(client: Tokenward, needs: Needs, options?: GuardOptions): onRequestAsyncHookHandler {
  const guard = new Guard(client, needs, options);
  return async (request, reply) => {
    const outcome = await guard.check({
      authorization: valuesOf(request.raw, 'authorization'),
      apiKey: valuesOf(request.raw, 'x-api-key'),
      userAgent: request.headers['user-agent'],
      method: request.method,
      path: pathOf(request.raw.url ?? request.url),
      remoteIp: request.ip,
    });
    if ('status' in outcome) {
      // Sending from a hook ends the request: no handler runs.
      return reply.code(outcome.status).headers(outcome.headers).send(JSON.stringify(outcome.body));
    }
    request.tokenward = outcome;
    return undefined;
  };
}
