// Connections of Node.js's own sockets. Nothing of Node.js is imported by name, so that this loads wherever `fetch` is.

import type { OnReadOpts, Socket } from 'node:net';

import { Answer, Route } from './http.js';
import { tooSlow, type Post, type Reply, type Terms } from './wire.js';

/** Idle connections to one server that are kept for the next question, and for how long in milliseconds. */
const KEPT = 64;
const KEPT_FOR = 60_000;
/** What is read of a connection at once: nearly always a whole answer about one token. What is longer comes in pieces. */
const READ_BYTES = 16_384;

type Modules = { readonly net: typeof import('node:net'); readonly tls: typeof import('node:tls') };

/** The sockets of Node.js; undefined elsewhere, also where something else (Deno, Bun, a worker) has a `process`. */
function modules(): Modules | undefined {
  const { process, navigator } = globalThis as { process?: NodeJS.Process; navigator?: { userAgent?: string } };
  if (typeof process?.versions?.node !== 'string' || typeof process.getBuiltinModule !== 'function') return undefined;
  // Node.js has none, or one that names it.
  if (navigator !== undefined && !navigator.userAgent?.startsWith('Node.js/')) return undefined;
  const [net, tls] = [process.getBuiltinModule('node:net'), process.getBuiltinModule('node:tls')];
  return net && tls && { net, tls };
}

const DISPATCHER = Symbol.for('undici.globalDispatcher.1');

/**
 * Does somebody lead what `fetch` asks another way? So do a proxy of the environment (`NODE_USE_ENV_PROXY`) and one that was
 * set with `setGlobalDispatcher` of undici.
 */
export function isLedElsewhere(): boolean {
  const dispatcher = (globalThis as Record<symbol, unknown>)[DISPATCHER];
  return typeof dispatcher === 'object' && dispatcher !== null && dispatcher.constructor.name !== 'Agent';
}

/** A question on its way. */
class Asked {
  /** When its time began. */
  readonly begun = performance.now();
  connection: Connection | undefined;
  readonly #waiting: Waiting;
  readonly #done: (reply: Reply) => void;
  readonly #failed: (error: Error) => void;

  constructor(
    readonly text: string,
    readonly encoding: 'latin1' | 'utf8',
    readonly most: number,
    waiting: Waiting,
    done: (reply: Reply) => void,
    failed: (error: Error) => void,
  ) {
    this.#waiting = waiting;
    this.#done = done;
    this.#failed = failed;
    waiting.add(this);
  }

  resolve(reply: Reply): void {
    this.#waiting.delete(this);
    this.#done(reply);
  }

  reject(cause: unknown): void {
    this.#waiting.delete(this);
    this.#failed(this.#waiting.terms.failed(cause));
  }
}

/**
 * The questions of one client that wait, the oldest first. Each may take equally long, so that one timer is enough for all of them; it
 * alone keeps the process alive for them, whatever their connections are.
 */
class Waiting {
  readonly terms: Terms;
  readonly #asked = new Set<Asked>();
  #timer: NodeJS.Timeout | undefined;

  constructor(terms: Terms) {
    this.terms = terms;
  }

  add(asked: Asked): void {
    this.#asked.add(asked);
    if (this.#timer === undefined) this.#arm(this.terms.timeoutMs);
    else if (this.#asked.size === 1) this.#timer.ref();
  }

  delete(asked: Asked): void {
    this.#asked.delete(asked);
    if (this.#asked.size === 0) this.#timer?.unref();
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => {
      const now = performance.now();
      // What has come while this process did something else is in time.
      setImmediate(() => this.#end(now));
    }, Math.max(1, Math.ceil(ms)));
  }

  /** Ends what should have been answered by then. */
  #end(now: number): void {
    this.#timer = undefined;
    const { timeoutMs } = this.terms;
    for (const asked of this.#asked) {
      if (asked.begun + timeoutMs > now) return this.#arm(asked.begun + timeoutMs - performance.now());
      asked.connection?.leave();
      asked.reject(tooSlow(timeoutMs));
    }
  }
}

/** The connections to one place. They carry nothing of who asks, so that all clients of a process share them. */
class Pool {
  readonly idle: Connection[] = [];
  readonly #connect: (onread: OnReadOpts) => Socket;
  readonly #ready: 'connect' | 'secureConnect';

  constructor({ net, tls }: Modules, { protocol, hostname, port }: URL) {
    const secure = protocol === 'https:';
    const host = hostname.replace(/^\[|\]$/g, '');
    // A small request must not wait for the acknowledgement of the one before.
    const place = { host, port: port === '' ? (secure ? 443 : 80) : Number(port), noDelay: true };
    const name = net.isIP(host) ? {} : { servername: host };
    // Of `onread` with TLS only the documentation speaks, and not the types.
    this.#connect = secure
      ? (onread) => tls.connect({ ...place, ...name, ...{ onread }, ALPNProtocols: ['http/1.1'] })
      : (onread) => net.connect({ ...place, onread });
    // What is secret goes to whom the certificate names, and to nobody before that is known.
    this.#ready = secure ? 'secureConnect' : 'connect';
  }

  ask(asked: Asked): void {
    for (let idle = this.idle.pop(); idle !== undefined; idle = this.idle.pop()) {
      if (idle.take(asked)) return;
    }
    this.askAnew(asked);
  }

  /** By a connection that nobody has used. */
  askAnew(asked: Asked): void {
    try {
      new Connection(this, this.#connect, this.#ready, asked);
    } catch (cause) {
      asked.reject(cause);
    }
  }
}

class Connection {
  readonly #pool: Pool;
  readonly #socket: Socket;
  #asked: Asked | undefined;
  #answer: Answer;
  /** Since when nobody has used it; undefined for one that has answered nothing yet. */
  #idleSince: number | undefined;

  constructor(pool: Pool, connect: (onread: OnReadOpts) => Socket, ready: string, asked: Asked) {
    this.#pool = pool;
    this.#asked = asked;
    this.#answer = new Answer(asked.most);
    asked.connection = this;
    // Into the same bytes each time: a stream makes room for each reading anew, which takes longer than the reading does.
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const socket = connect({
      buffer,
      callback: (bytes) => {
        this.#came(buffer.subarray(0, bytes));
        return true;
      },
    });
    this.#socket = socket;
    socket.once(ready, () => this.#asked && socket.write(this.#asked.text, this.#asked.encoding));
    socket.on('end', () => this.#ended());
    socket.on('error', (cause) => this.#broke(cause));
    socket.on('close', () => this.#ended());
  }

  /** Sends the next question, where the connection still looks good. */
  take(asked: Asked): boolean {
    if (this.#socket.destroyed || asked.begun - (this.#idleSince ?? 0) > KEPT_FOR) {
      this.#socket.destroy();
      return false;
    }
    this.#asked = asked;
    this.#answer = new Answer(asked.most);
    asked.connection = this;
    this.#socket.write(asked.text, asked.encoding);
    return true;
  }

  /** Whoever asked waits no longer. */
  leave(): void {
    this.#asked = undefined;
    this.#socket.destroy();
  }

  #came(part: Buffer): void {
    const asked = this.#asked;
    // An answer to nothing.
    if (asked === undefined) return this.#gone();
    let reply: Reply | undefined;
    try {
      reply = this.#answer.feed(part);
    } catch (cause) {
      this.leave();
      asked.reject(cause);
      return;
    }
    if (reply === undefined) return;
    this.#asked = undefined;
    // What was answered before all of it was sent is no order in which a next one could be asked.
    if (this.#answer.reusable && this.#socket.writableLength === 0 && this.#pool.idle.length < KEPT) {
      // From now on it keeps no process alive. Who asks by it does.
      if (this.#idleSince === undefined) this.#socket.unref();
      this.#idleSince = performance.now();
      this.#pool.idle.push(this);
    } else {
      this.#socket.destroy();
    }
    asked.resolve(reply);
  }

  #ended(): void {
    const asked = this.#asked;
    const reply = asked && this.#answer.closed();
    if (!asked || !reply) return this.#broke(undefined);
    this.leave();
    asked.resolve(reply);
  }

  #broke(cause: unknown): void {
    const asked = this.#asked;
    this.#gone();
    if (asked === undefined) return;
    this.#asked = undefined;
    // The other end has closed it while it was idle: once more, with a new one. What was answered in part was no idle one.
    if (this.#idleSince !== undefined && !this.#answer.begun) return this.#pool.askAnew(asked);
    const when = this.#answer.begun ? 'in the middle of its answer' : 'without an answer';
    asked.reject(cause ?? new Error(`it closed the connection ${when}`));
  }

  #gone(): void {
    const at = this.#pool.idle.indexOf(this);
    if (at >= 0) this.#pool.idle.splice(at, 1);
    this.#socket.destroy();
  }
}

const pools = new Map<string, Pool>();

/** How to ask a server over sockets of Node.js; undefined where there are none. */
export function bySockets(base: string, authorization: string, terms: Terms): Post | undefined {
  const node = modules();
  if (node === undefined) return undefined;
  const url = new URL(base);
  const pool = pools.get(url.origin) ?? new Pool(node, url);
  pools.set(url.origin, pool);
  const [route, waiting] = [new Route(base, authorization), new Waiting(terms)];
  return (path, body, most) => new Promise<Reply>((done, failed) => {
    const bytes = Buffer.byteLength(body);
    pool.ask(new Asked(route.request(path, body, bytes), bytes === body.length ? 'latin1' : 'utf8', most, waiting, done, failed));
  });
}
