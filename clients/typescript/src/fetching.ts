// Questions by `fetch`, for where there are no sockets of Node.js, and for who brings one.

import { answerTooLong, textOf, tooSlow, type Post, type Terms } from './wire.js';

/** How to ask a server by `fetch`. */
export function byFetch(base: string, authorization: string, ask: typeof fetch, { timeoutMs, failed }: Terms): Post {
  const headers = { authorization, 'content-type': 'application/json' };
  /** Has a connection brought an answer since one broke? Then the next one that breaks was idle. */
  let answered = false;
  return async (path, body, most) => {
    const signal = AbortSignal.timeout(timeoutMs);
    // A redirect would carry the tokens elsewhere; it means that the address is wrong.
    const once = () => ask(`${base}${path}`, { method: 'POST', headers, body, signal, redirect: 'manual' });
    try {
      const answer = await once().catch((cause: unknown) => {
        const again = answered && isBroken(cause);
        if (isBroken(cause)) answered = false;
        if (!again) throw cause;
        return once();
      });
      answered = true;
      return { status: answer.status, retryAfter: answer.headers.get('retry-after'), text: textOf(await read(answer, most)) };
    } catch (cause) {
      throw failed(signal.aborted ? tooSlow(timeoutMs) : cause);
    }
  };
}

/** The body of an answer, unless it is longer than any. */
async function read(answer: Response, most: number): Promise<Uint8Array> {
  const length = answer.headers.get('content-length');
  if (length !== null && Number(length) <= most && !answer.headers.has('content-encoding')) return new Uint8Array(await answer.arrayBuffer());
  const parts: Uint8Array[] = [];
  let held = 0;
  const reader = answer.body?.getReader();
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    held += part.value.length;
    if (held > most) {
      await reader?.cancel();
      throw answerTooLong(most);
    }
    parts.push(part.value);
  }
  const whole = new Uint8Array(held);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What a connection answers that its other end has closed meanwhile. */
function isBroken(cause: unknown): boolean {
  const inner = cause instanceof TypeError ? cause.cause : undefined;
  const code = typeof inner === 'object' && inner !== null && 'code' in inner ? inner.code : undefined;
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}
