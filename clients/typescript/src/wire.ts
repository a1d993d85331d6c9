// What goes to a server and what comes back: pure functions of texts. Nothing here that is not understood is a yes.

/** Why a token is refused. A word of a later server is `unrecognized`, and denied; `Verdict.code` has the word. */
export type Reason = keyof typeof REASONS | 'throttled' | 'unrecognized';

/** Each reason of a server: is the token itself refused (401), may it only not do this (403) or not now (429), and what to tell people. */
export const REASONS = {
  malformed: [401, 'This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?'],
  unknown: [401, 'No such token is known here.'],
  revoked: [401, 'This token was revoked. Ask for a new one.'],
  disabled: [401, 'This token is switched off.'],
  not_yet_valid: [401, 'This token is not valid yet.'],
  expired: [401, 'This token has expired. Ask for a new one.'],
  replaced: [401, 'This token was rotated, and this is an earlier secret of it. Use the newest one.'],
  brownout: [
    401,
    'This token is about to be taken back, and is refused for some minutes to learn who uses it. Ask for a new one.',
  ],
  network_denied: [
    403,
    'This token is accepted from some networks alone, and this request is from another one. Does your gateway say from which address a request comes?',
  ],
  policy_denied: [
    403,
    'The policy of this token does not allow this request, or the question did not say which request it is about.',
  ],
  path_ambiguous: [403, 'The path of the request can be read in more than one way (`//`, `..`, `%2f` and the like).'],
  token_in_query: [401, 'A token stands in the query, where logs keep it. Send it in a header, and replace this one.'],
  api_unknown: [403, 'There is no API of that name. Import its routes first.'],
  route_unknown: [403, 'The request is on no route of the API, and what no route describes is denied.'],
  permission_denied: [403, 'The role of this token does not allow this.'],
  scope_denied: [403, 'This token is narrowed to a part of what its role may do, and this is not in it.'],
  rate_limited: [429, 'This token is used faster than it may be. Try again later.'],
  quota_exceeded: [429, 'The quota of this token is used up. Try again when it is filled again.'],
} as const satisfies Record<string, readonly [401 | 403 | 429, string]>;

/** Whose token it is. */
export interface Holder {
  readonly id: string;
  readonly name: string;
  /** `api_token`, or a word of a later server. */
  readonly kind: string;
  readonly organizationId: string;
  readonly roleId: string;
  readonly roleName: string;
  /** Absent for a revoked token; null for one without an end. */
  readonly expiresAt?: Date | null;
  /** Where the question includes them and it has some. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The same: what else is kept with it. */
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** A question about a token. Without `permission` and `api` it is only: whose is it? */
export interface Question {
  /** What it is to be allowed, such as `invoices:read`. */
  readonly permission?: string;
  /** With which resource; needs a `permission`. */
  readonly resource?: { readonly projectId?: string; readonly environmentId?: string; readonly clusterId?: string };
  /** An API of the organization, whose routes say what `request` needs. */
  readonly api?: string;
  /**
   * The request that it came with, its path as the client sent it. Its body is for the policy of a policy token: `''` where it has
   * none, left out where it is not known, and then a policy that looks at it denies.
   */
  readonly request?: { readonly method: string; readonly path: string; readonly body?: string };
  /** The address of the client that presented it. */
  readonly remoteIp?: string;
  /** Its own words for itself. */
  readonly userAgent?: string;
  /** A position that the answer must know of: `Tokenward-Position` of a change. */
  readonly atLeast?: string;
  /** What is to be told of the token besides. */
  readonly include?: readonly ('labels' | 'metadata')[];
}

/** What was decided. An error is never one. */
export interface Verdict {
  readonly valid: boolean;
  /** `valid`, or why not, in the server's word. */
  readonly code: string;
  /** Why not; absent for a yes. */
  readonly reason?: Reason;
  /** Whose token it is; absent when that is not known. */
  readonly token?: Holder;
  /** What its role lacks; for `scope_denied` what its role has, and it is narrowed away from. */
  readonly missingPermission?: string;
  /** Under this id the server explains the answer for a while. */
  readonly decisionId?: string;
  /** The page that does; it takes a token with `token:verify`. */
  readonly explain?: string;
  /** Seconds until another attempt makes sense, when `reason` is `throttled`, `rate_limited` or `quota_exceeded`. */
  readonly retryAfter?: number;
}

/** An answer that is a yes. */
export type Allowed = Verdict & { readonly valid: true; readonly token: Holder };

/**
 * Why there is no verdict: `unavailable` (no server, too slow, or it says 503), `credential` (this service's own token is
 * refused), `question` (it cannot be understood), `answer` (what answered is no Tokenward). All of them are this
 * service's errors: log them, and answer its callers 503.
 */
export type ErrorKind = 'unavailable' | 'credential' | 'question' | 'answer';

/** There is no verdict. The message names no secret. */
export class TokenwardError extends Error {
  override readonly name = 'TokenwardError';
  constructor(
    readonly kind: ErrorKind,
    message: string,
    /** The server's word for it, where it had one. */
    readonly code?: string,
    /** Seconds until another attempt makes sense, where the server said so. */
    readonly retryAfter?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Most bytes of a presented text that a server reads. */
export const PRESENTED_BYTES = 65_536;
/** Most questions in one batch. */
export const BATCH = 1_000;

const VISIBLE = /^[\x21-\x7e]+$/;
const PERMISSION = /^[^:*\s]+:[^:*\s]+$/;

/** Can a header have carried this? What none can have carried is `malformed`, and nobody is asked. */
export function isPresentable(token: string): boolean {
  return token.length <= PRESENTED_BYTES && VISIBLE.test(token);
}

export const MALFORMED: Verdict = { valid: false, code: 'malformed', reason: 'malformed' };

/** The server's address without a slash at its end. */
export function readBase(text: string): string {
  const bad = (why: string) => new TokenwardError('question', `The address of the Tokenward server ${why}.`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad('is none: write it as https://tokens.example.com');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw bad('must begin with http:// or https://');
  if (url.username || url.password) throw bad('must hold no user name and no password');
  if (url.search || url.hash) throw bad('must hold no query and no fragment');
  return url.href.replace(/\/+$/, '');
}

/** The body of a question. */
export function writeQuestion(token: string, question: Question): Record<string, unknown> {
  const bad = (what: string) => new TokenwardError('question', `The question about a token cannot be asked: ${what}.`);
  const { permission, resource, api, request, remoteIp, userAgent, atLeast, include } = question;
  if (permission !== undefined && !PERMISSION.test(permission)) {
    throw bad('`permission` must be one permission, such as invoices:read');
  }
  if (resource && permission === undefined) throw bad('`resource` needs a `permission` beside it');
  if (api === '') throw bad('`api` is empty');
  if (api !== undefined && !request) throw bad('with `api`, say which `request` it is about');
  const body: Record<string, unknown> = { token };
  if (permission !== undefined) body.permission = permission;
  if (resource) {
    const ids = { project_id: resource.projectId, environment_id: resource.environmentId, cluster_id: resource.clusterId };
    body.resource = Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined));
  }
  if (remoteIp !== undefined) body.remote_ip = remoteIp;
  // Only remembered, so that a long one is cut and fails no question.
  if (userAgent !== undefined) body.user_agent = userAgent.slice(0, 1_024);
  if (api !== undefined) body.api = api;
  if (request) {
    const { method, path, body: sent } = request;
    body.request = sent === undefined ? { method, path } : { method, path, body: sent };
  }
  if (atLeast !== undefined) body.at_least = atLeast;
  if (include !== undefined) body.include = include;
  return body;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (value: unknown): value is string => typeof value === 'string';

/** What is still being made. */
type Mutable<Made> = { -readonly [Name in keyof Made]: Made[Name] };

function notTokenward(status: number, what: string): TokenwardError {
  return new TokenwardError(
    'answer',
    `What answered (status ${status}) is no Tokenward server: ${what}. Is the address right, or does a proxy answer in its place?`,
  );
}

function readHolder(value: unknown): Holder | undefined {
  if (!isObject(value)) return undefined;
  // One by one, here and below: to go through their names, or to spread parts, takes several times as long.
  const { id, name, kind, organization_id: organizationId, role_id: roleId, role_name: roleName, expires_at: end, labels, metadata } = value;
  if (!isText(id) || !isText(name) || !isText(kind)) return undefined;
  if (!isText(organizationId) || !isText(roleId) || !isText(roleName)) return undefined;
  const holder: Mutable<Holder> = { id, name, kind, organizationId, roleId, roleName };
  if (labels !== undefined) {
    if (!isObject(labels)) return undefined;
    holder.labels = labels as Record<string, string>;
  }
  if (metadata !== undefined) {
    if (!isObject(metadata)) return undefined;
    holder.metadata = metadata;
  }
  if (end === null) {
    holder.expiresAt = null;
  } else if (end !== undefined) {
    const expiresAt = new Date(isText(end) ? end : Number.NaN);
    if (Number.isNaN(expiresAt.getTime())) return undefined;
    holder.expiresAt = expiresAt;
  }
  return holder;
}

/** One verdict out of a body. */
export function readVerdict(value: unknown, base: string): Verdict {
  if (!isObject(value)) throw notTokenward(200, 'its body is no verdict');
  const { valid, code, token, missing_permission: missingPermission, decision_id: decisionId, retry_after: retryAfter } = value;
  if (typeof valid !== 'boolean' || !isText(code) || valid !== (code === 'valid')) throw notTokenward(200, 'its verdict contradicts itself');
  const holder = readHolder(token);
  if (!holder && (valid || (token !== undefined && token !== null))) throw notTokenward(200, 'its verdict does not say whose token it is');
  const verdict: Mutable<Verdict> = { valid, code };
  if (!valid) verdict.reason = code === 'throttled' || Object.hasOwn(REASONS, code) ? (code as Reason) : 'unrecognized';
  if (holder) verdict.token = holder;
  if (isText(missingPermission)) verdict.missingPermission = missingPermission;
  if (typeof retryAfter === 'number' && Number.isInteger(retryAfter) && retryAfter >= 0) verdict.retryAfter = retryAfter;
  if (isText(decisionId)) {
    verdict.decisionId = decisionId;
    verdict.explain = `${base}/decision/${encodeURIComponent(decisionId)}`;
  }
  return verdict;
}

/** The verdicts of a batch, in the order of its questions. */
export function readBatch(value: unknown, base: string, expected: number): Verdict[] {
  const results = isObject(value) ? value.results : undefined;
  if (!Array.isArray(results) || results.length !== expected) throw notTokenward(200, 'it did not answer each question of the batch');
  return results.map((it) => readVerdict(it, base));
}

/** An answer of HTTP. */
export interface Reply {
  readonly status: number;
  readonly retryAfter: string | null;
  /** Its body; undefined where that is no text. */
  readonly text: string | undefined;
}

/** Sends a question, and reads at most so many bytes of its answer. Whatever goes wrong is a {@link TokenwardError}. */
export type Post = (path: string, body: string, most: number) => Promise<Reply>;

/** What holds for all questions of a client. */
export interface Terms {
  readonly timeoutMs: number;
  /** What is said where there is no answer, because of this. */
  readonly failed: (cause: unknown) => TokenwardError;
}

export const tooSlow = (timeoutMs: number) => new Error(`it did not answer within ${timeoutMs} ms`);

export const answerTooLong = (most: number) =>
  new TokenwardError('answer', `What answered is no Tokenward server: its body is longer than ${most} bytes.`);

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The text that these bytes are, if they are one. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/** What an answer holds: JSON to read on, or the verdict that whoever presented the token has guessed too often. */
export type Said = { readonly json: unknown } | { readonly throttled: Verdict };

/** Reads an answer by its status. One that is an error of this service throws. */
export function readAnswer({ status, retryAfter, text }: Reply): Said {
  let value: unknown;
  try {
    value = text === undefined ? undefined : JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (status === 200) {
    if (value === undefined) throw notTokenward(status, 'its body is no JSON');
    return { json: value };
  }
  const { code, detail, missing_permission: missing } = isObject(value) ? value : {};
  const word = isText(code) ? code : undefined;
  const told = isText(detail) ? detail : 'It said no more.';
  const wait = retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : undefined;
  if (status === 429 && word === 'throttled') {
    return { throttled: { valid: false, code: word, reason: word, ...(wait !== undefined && { retryAfter: wait }) } };
  }
  const fails = (kind: ErrorKind, message: string) => new TokenwardError(kind, message, word, wait);
  if (status === 401) throw fails('credential', `The Tokenward server refuses this service's own credential: ${told}`);
  if (status === 403) {
    const lacks = isText(missing) ? ` It lacks \`${missing}\`.` : '';
    throw fails('credential', `This service's own credential may not ask the Tokenward server: ${told}${lacks}`);
  }
  if (word !== undefined && [400, 409, 413, 422].includes(status)) {
    throw fails('question', `The Tokenward server does not understand the question: ${told}`);
  }
  // 429: a limit of this service's own credential.
  if (status >= 500 || (status === 429 && word !== undefined)) throw fails('unavailable', `The Tokenward server cannot answer now (status ${status}): ${told}`);
  throw notTokenward(status, word === undefined ? 'its body is no error of ours' : `it says ${word}`);
}
