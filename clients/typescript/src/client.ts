import { byFetch } from './fetching.js';
import { bySockets, isLedElsewhere } from './sockets.js';
import {
  BATCH, MALFORMED, TokenwardError, isPresentable, readAnswer, readBase, readBatch, readVerdict, writeQuestion,
  type Post, type Question, type Verdict,
} from './wire.js';

export interface TokenwardOptions {
  /** The server, such as `https://tokens.example.com`. */
  readonly url: string;
  /** A token of the role `verifier`: this service's own. */
  readonly credential: string;
  /** The longest that a question may take, all in all, in milliseconds: 1000 where nothing is said. */
  readonly timeoutMs?: number;
  /**
   * Remember a yes for so long, 1000 at most. **A token that was revoked lives that long for this process.** Off where
   * nothing is said.
   */
  readonly revokedTokensLiveForMs?: number;
  /**
   * Another `fetch`, for instance one with a proxy or a certificate of its own. Where nothing is said, Node.js asks over its own
   * sockets, which takes a fraction of the time, and everything else by its `fetch`.
   */
  readonly fetch?: typeof fetch;
}

/** Most bytes of an answer that are read: about three times what a server says of one token with the longest names. */
const ANSWER_BYTES = 16_384;
/** Most yeses that are remembered. */
const REMEMBERED = 10_000;

/** Asks one server. Make one for the whole process: its connections are shared. */
export class Tokenward {
  readonly base: string;
  readonly #byFetch: Post;
  readonly #bySockets: Post | undefined;
  readonly #remember: number;
  readonly #yeses = new Map<string, { readonly until: number; readonly verdict: Verdict }>();

  constructor(options: TokenwardOptions) {
    const bad = (what: string) => new TokenwardError('question', what);
    this.base = readBase(options.url);
    if (!isPresentable(options.credential)) throw bad("`credential`, this service's own token, is empty or holds what no token does.");
    const authorization = `Token ${options.credential}`;
    const timeoutMs = options.timeoutMs ?? 1_000;
    if (!(timeoutMs >= 1 && timeoutMs <= 60_000)) throw bad('`timeoutMs` must be 1 to 60000.');
    this.#remember = options.revokedTokensLiveForMs ?? 0;
    if (!(this.#remember >= 0 && this.#remember <= 1_000)) throw bad('`revokedTokensLiveForMs` must be at most 1000.');
    const terms = { timeoutMs, failed: (cause: unknown) => unreachable(this.base, cause) };
    this.#byFetch = byFetch(this.base, authorization, options.fetch ?? globalThis.fetch, terms);
    this.#bySockets = options.fetch === undefined ? bySockets(this.base, authorization, terms) : undefined;
  }

  /** Whose token is this, and may it do that? Throws a {@link TokenwardError} where there is no verdict. */
  async verify(token: string, question: Question = {}): Promise<Verdict> {
    const asked = JSON.stringify(writeQuestion(token, question));
    if (!isPresentable(token)) return MALFORMED;
    const key = this.#remember > 0 ? await digest(asked) : '';
    const known = key && this.#yeses.get(key);
    if (known && performance.now() < known.until) return known.verdict;
    const answer = readAnswer(await this.#post('/verify', asked, ANSWER_BYTES));
    const verdict = 'throttled' in answer ? answer.throttled : readVerdict(answer.json, this.base);
    if (key) this.#note(key, verdict);
    return verdict;
  }

  /** The same for up to 1,000 tokens at once, answered in their order. */
  async verifyBatch(
    questions: readonly ({ readonly token: string } & Omit<Question, 'atLeast'>)[],
    options: { readonly atLeast?: string } = {},
  ): Promise<Verdict[]> {
    if (questions.length === 0) return [];
    if (questions.length > BATCH) throw new TokenwardError('question', `A batch holds at most ${BATCH} questions; this one has ${questions.length}.`);
    const bodies = questions.map(({ token, ...question }) => ({ ask: isPresentable(token), body: writeQuestion(token, question) }));
    const asked = bodies.filter((it) => it.ask).map((it) => it.body);
    let verdicts: Verdict[] = [];
    if (asked.length > 0) {
      const body = { tokens: asked, ...(options.atLeast !== undefined && { at_least: options.atLeast }) };
      const answer = readAnswer(await this.#post('/verify/batch', JSON.stringify(body), ANSWER_BYTES * asked.length));
      verdicts = 'throttled' in answer ? asked.map(() => answer.throttled) : readBatch(answer.json, this.base, asked.length);
    }
    const next = verdicts[Symbol.iterator]();
    return bodies.map((it) => (it.ask ? next.next().value as Verdict : MALFORMED));
  }

  #note(key: string, verdict: Verdict): void {
    this.#yeses.delete(key);
    if (!verdict.valid) return;
    // The first of a map is its oldest.
    if (this.#yeses.size >= REMEMBERED) for (const oldest of this.#yeses.keys()) { this.#yeses.delete(oldest); break; }
    this.#yeses.set(key, { until: performance.now() + this.#remember, verdict });
  }

  get #post(): Post {
    return this.#bySockets !== undefined && !isLedElsewhere() ? this.#bySockets : this.#byFetch;
  }
}

function unreachable(base: string, cause: unknown): TokenwardError {
  if (cause instanceof TokenwardError) return cause;
  return new TokenwardError('unavailable', `The Tokenward server at ${base} cannot be reached: ${innermost(cause)}`, undefined, undefined, { cause });
}

/** What is below all errors that tell of another one. */
function innermost(cause: unknown): string {
  let last = cause;
  for (;;) {
    // Of several addresses of one name, the first.
    const below = last instanceof AggregateError ? last.errors[0] : last instanceof Error ? last.cause : undefined;
    if (!(below instanceof Error)) return last instanceof Error ? last.message : String(last);
    last = below;
  }
}

/** So that no text of a token stays in memory for being remembered. */
async function digest(text: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
