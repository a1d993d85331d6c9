// What every framework's middleware does, without a framework: the one credential of a request, the question about it, and
// the answer to who is refused.

import type { Tokenward } from './client.js';
import { REASONS, TokenwardError, writeQuestion, type Allowed, type Holder, type Question, type Verdict } from './wire.js';

/** What a request needs. Exactly one of them must be said. */
export type Needs =
  /** One permission, whatever the request is. */
  | { readonly permission: string; readonly resource?: Question['resource'] }
  /** What the routes of this API of your organization say of its method and path. */
  | { readonly api: string }
  /** Nothing but a token of your organization, whatever its role: a choice that somebody has to write. */
  | { readonly identity: 'any' };

export interface GuardOptions {
  /** Where errors of this service go (a refused credential, no server); `console.error` where nothing is said. */
  readonly onError?: (error: TokenwardError) => void;
}

/** A request, as a guard reads it. */
export interface Presented {
  readonly authorization: readonly string[];
  readonly apiKey: readonly string[];
  readonly userAgent?: string | undefined;
  readonly method: string;
  /** As the client sent it. */
  readonly path: string;
  readonly remoteIp?: string | undefined;
}

/** An answer to who is refused. */
export interface Refusal {
  readonly status: 401 | 403 | 429 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A request's token, when it may pass. */
export interface Passed {
  readonly token: Holder;
  readonly verdict: Allowed;
}

const NAMES = { 401: 'Unauthorized', 403: 'Forbidden', 429: 'Too Many Requests', 503: 'Service Unavailable' } as const;
const SEND = 'Send an API token: `Authorization: Token <token>` (or `Bearer`, or Basic with the token as password), or `X-API-Key`.';
const SEVERAL = 'The request has more than one credential. Send one, in one header.';

function refusal(status: Refusal['status'], code: string, detail: string, more: Record<string, unknown> = {}, headers: Record<string, string> = {}): Refusal {
  const body = { status, error: NAMES[status], detail, message: detail, code, ...more };
  return { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...headers }, body };
}

/** RFC 6750 §3: no error word when there was no credential at all. */
const challenge = (code: string) => ({
  'www-authenticate': code === 'missing_credentials' ? 'Bearer realm="tokenward"' : 'Bearer realm="tokenward", error="invalid_token"',
});

const retry = (seconds: number | undefined): Record<string, string> => (seconds === undefined ? {} : { 'retry-after': String(seconds) });

/** The one credential among the headers in which one may stand, or the code of the refusal. */
export function credentialOf({ authorization, apiKey }: Pick<Presented, 'authorization' | 'apiKey'>): { token: string } | { code: string } {
  const [value, second] = [...authorization, ...apiKey];
  if (value === undefined) return { code: 'missing_credentials' };
  // Some servers join headers of one name with a comma, which stands in no credential.
  if (second !== undefined || value.includes(',')) return { code: 'ambiguous_credentials' };
  if (authorization.length === 0) return { token: value.trim() };
  const [, scheme, rest] = /^([^ ]+) (.*)$/.exec(value.trim()) ?? [];
  const text = rest?.trim() ?? '';
  switch (scheme?.toLowerCase()) {
    case 'token':
    case 'bearer':
      return { token: text };
    case 'basic': {
      const password = basicPassword(text);
      return password === undefined ? { code: 'missing_credentials' } : { token: password };
    }
    default:
      return { code: 'missing_credentials' };
  }
}

/** RFC 7617 §2: a colon in the password belongs to it. */
function basicPassword(text: string): string | undefined {
  try {
    const bytes = Uint8Array.from(atob(text), (it) => it.charCodeAt(0));
    const decoded = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const colon = decoded.indexOf(':');
    return colon < 0 ? undefined : decoded.slice(colon + 1);
  } catch {
    return undefined;
  }
}

/** What to answer where a verdict is a no. */
export function refusalOf(verdict: Verdict): Refusal {
  const { code, reason, missingPermission, decisionId, retryAfter } = verdict;
  const more = { reason: code, ...(missingPermission !== undefined && { missing_permission: missingPermission }), ...(decisionId !== undefined && { decision_id: decisionId }) };
  if (reason === 'throttled') {
    return refusal(429, code, 'Too many unknown tokens came from your address. Try again later.', more, retry(retryAfter));
  }
  if (reason === undefined || reason === 'unrecognized') {
    return refusal(403, code, 'The token is refused for a reason that this service does not know.', more);
  }
  const [status, sentence] = REASONS[reason];
  if (status === 401) return refusal(401, code, sentence, more, challenge(code));
  if (status === 429) return refusal(429, code, sentence, more, retry(retryAfter));
  if (missingPermission === undefined) return refusal(403, code, sentence, more);
  const why = reason === 'scope_denied' ? '. Your role has it, but this token is narrowed to less.' : ', which your role does not have.';
  return refusal(403, code, `This needs the permission \`${missingPermission}\`${why}`, more);
}

/** Lets requests pass whose token may do what is needed. Everything unexpected is a 503. */
export class Guard {
  readonly #client: Tokenward;
  readonly #needs: Needs;
  readonly #onError: (error: TokenwardError) => void;

  constructor(client: Tokenward, needs: Needs, options: GuardOptions = {}) {
    const said = ['permission', 'api', 'identity'].filter((it) => (needs as Record<string, unknown>)[it] !== undefined);
    if (said.length !== 1) throw new TokenwardError('question', 'Say exactly one of `permission`, `api` and `identity: "any"`.');
    if ('identity' in needs && needs.identity !== 'any') throw new TokenwardError('question', '`identity` takes "any" and nothing else.');
    // A slip of the pen is told when the service starts, and not to its first caller.
    writeQuestion('x', this.#question(needs, { authorization: [], apiKey: [], method: 'GET', path: '/' }));
    this.#client = client;
    this.#needs = needs;
    this.#onError = options.onError ?? ((error) => console.error(`tokenward: ${error.message}`));
  }

  #question(needs: Needs, { method, path, remoteIp, userAgent }: Presented): Question {
    const asked = 'permission' in needs
      ? { permission: needs.permission, ...(needs.resource && { resource: needs.resource }) }
      : 'api' in needs ? { api: needs.api } : {};
    return { ...asked, request: { method, path }, ...(remoteIp && { remoteIp }), ...(userAgent && { userAgent }) };
  }

  async check(request: Presented): Promise<Passed | Refusal> {
    const found = credentialOf(request);
    if ('code' in found) {
      return refusal(401, found.code, found.code === 'missing_credentials' ? SEND : SEVERAL, {}, challenge(found.code));
    }
    try {
      const verdict = await this.#client.verify(found.token, this.#question(this.#needs, request));
      return verdict.valid && verdict.token ? { token: verdict.token, verdict: verdict as Allowed } : refusalOf(verdict);
    } catch (cause) {
      const error = cause instanceof TokenwardError ? cause : new TokenwardError('answer', 'The token could not be checked.', undefined, undefined, { cause });
      this.#onError(error);
      // What is wrong between this service and its server is no business of its callers.
      return refusal(503, 'unavailable', 'Tokens cannot be checked right now. Try again.', {}, retry(error.kind === 'unavailable' ? error.retryAfter ?? 1 : 1));
    }
  }
}
