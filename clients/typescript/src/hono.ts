import type { Context, MiddlewareHandler } from 'hono';

import type { Tokenward } from './client.js';
import { presentedBy } from './fetch.js';
import { Guard, type GuardOptions, type Needs, type Passed } from './guard.js';

declare module 'hono' {
  interface ContextVariableMap {
    /** The token of the request; set by `requireToken`. */
    tokenward: Passed;
  }
}

export interface HonoGuardOptions extends GuardOptions {
  /** The client's address: `(c) => getConnInfo(c).remote.address` of your runtime's adapter. */
  readonly remoteIp?: (context: Context) => string | undefined;
}

/** Middleware of Hono. What passes has `c.get('tokenward')`, also `c.var.tokenward`. */
export function requireToken(client: Tokenward, needs: Needs, options: HonoGuardOptions = {}): MiddlewareHandler {
  const guard = new Guard(client, needs, options);
  return async (context, next) => {
    const outcome = await guard.check(presentedBy(context.req.raw, options.remoteIp?.(context)));
    if ('status' in outcome) return context.body(JSON.stringify(outcome.body), outcome.status, outcome.headers);
    context.set('tokenward', outcome);
    await next();
    return undefined;
  };
}
