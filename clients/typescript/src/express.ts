import type { NextFunction, Request, RequestHandler, Response } from 'express';

import type { Tokenward } from './client.js';
import { Guard, type GuardOptions, type Needs, type Passed } from './guard.js';
import { pathOf, valuesOf } from './node.js';

declare global {
  // eslint-disable-next-line @typescript-eslint/no-namespace -- the way in which Express is told of it
  namespace Express {
    interface Request {
      /** The token of the request; set by `requireToken`. */
      tokenward?: Passed;
    }
  }
}

/**
 * Middleware of Express 4 and 5. What passes has `req.tokenward`. The client's address is `req.ip`: set Express's
 * `trust proxy` where a proxy stands before it.
 */
export function requireToken(client: Tokenward, needs: Needs, options?: GuardOptions): RequestHandler {
  const guard = new Guard(client, needs, options);
  return (request: Request, response: Response, next: NextFunction) => {
    const presented = {
      authorization: valuesOf(request, 'authorization'),
      apiKey: valuesOf(request, 'x-api-key'),
      userAgent: request.headers['user-agent'],
      method: request.method,
      path: pathOf(request.originalUrl),
      remoteIp: request.ip,
    };
    guard.check(presented).then((outcome) => {
      if ('status' in outcome) {
        response.status(outcome.status).set(outcome.headers).send(JSON.stringify(outcome.body));
        return;
      }
      request.tokenward = outcome;
      next();
    }).catch(next);
  };
}
