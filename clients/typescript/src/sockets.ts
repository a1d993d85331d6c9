// Connections of Node.js's own sockets. Nothing of Node.js is imported by name, so that this loads wherever `fetch` is.

import type { Socket } from 'node:net';

import { Answer, Route } from './http.js';
import type { Post, Reply } from './wire.js';

/** Idle connections to one server that are kept for the next question, and for how long in milliseconds. */
const KEPT = 64;
const KEPT_FOR = 60_000;

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

/**
 * Does somebody lead what `fetch` asks another way? So do a proxy of the environment (`NODE_USE_ENV_PROXY`) and one that was
 * set with `setGlobalDispatcher` of undici.
 */
export function isLedElsewhere(): boolean {
  const dispatcher = (globalThis as Record<symbol, unknown>)[Symbol.for('undici.globalDispatcher.1')];
  return typeof dispatcher === 'object' && dispatcher !== null && dispatcher.constructor.name !== 'Agent';
}

/** A question on its way. */
interface Asked {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
  readonly most: number;
  readonly resolve: (reply: Reply) => void;
  readonly reject: (cause: unknown) => void;
  connection: Connection | undefined;
}

/** The connections to one place. They carry nothing of who asks, so that all clients of a process share them. */
class Pool {
  readonly idle: Connection[] = [];
  readonly #connect: () => Socket;
  readonly #ready: 'connect' | 'secureConnect';

  constructor({ net, tls }: Modules, { protocol, hostname, port }: URL) {
    const secure = protocol === 'https:';
    const host = hostname.replace(/^\[|\]$/g, '');
    // A small request must not wait for the acknowledgement of the one before.
    const place = { host, port: port === '' ? (secure ? 443 : 80) : Number(port), noDelay: true };
    const name = net.isIP(host) ? {} : { servername: host };
    this.#connect = secure ? () => tls.connect({ ...place, ...name, ALPNProtocols: ['http/1.1'] }) : () => net.connect(place);
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
    new Connection(this, this.#connect(), this.#ready, asked);
  }
}

class Connection {
  readonly #pool: Pool;
  readonly #socket: Socket;
  #asked: Asked | undefined;
  #answer: Answer;
  /** Since when nobody has used it; undefined for one that has answered nothing yet. */
  #idleSince: number | undefined;

  constructor(pool: Pool, socket: Socket, ready: string, asked: Asked) {
    this.#pool = pool;
    this.#socket = socket;
    this.#asked = asked;
    this.#answer = new Answer(asked.most);
    asked.connection = this;
    socket.once(ready, () => this.#asked && socket.write(asked.text, asked.encoding));
    socket.on('data', (part) => this.#came(part));
    socket.on('end', () => this.#ended());
    socket.on('error', (cause) => this.#broke(cause));
    socket.on('close', () => this.#ended());
  }

  /** Sends the next question, where the connection still looks good. */
  take(asked: Asked): boolean {
    if (this.#socket.destroyed || performance.now() - (this.#idleSince ?? 0) > KEPT_FOR) {
      this.#socket.destroy();
      return false;
    }
    this.#asked = asked;
    this.#answer = new Answer(asked.most);
    asked.connection = this;
    this.#socket.ref();
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
      this.#idleSince = performance.now();
      this.#pool.idle.push(this);
      // An idle connection keeps no process alive.
      this.#socket.unref();
    } else {
      this.#socket.destroy();
    }
    asked.resolve(reply);
  }

  #ended(): void {
    const reply = this.#asked && this.#answer.closed();
    if (!this.#asked || !reply) return this.#broke(undefined);
    const { resolve } = this.#asked;
    this.leave();
    resolve(reply);
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
export function bySockets(base: string, authorization: string): Post | undefined {
  const node = modules();
  if (node === undefined) return undefined;
  const url = new URL(base);
  const pool = pools.get(url.origin) ?? new Pool(node, url);
  pools.set(url.origin, pool);
  const route = new Route(base, authorization);
  return (path, body, most, timeoutMs, tooSlow) => new Promise<Reply>((done, failed) => {
    const late = () => {
      asked.connection?.leave();
      failed(tooSlow());
    };
    // What has come while this process did something else is in time.
    const timer = setTimeout(() => { last = setImmediate(late); }, timeoutMs);
    let last: NodeJS.Immediate | undefined;
    const settled = () => {
      clearTimeout(timer);
      if (last !== undefined) clearImmediate(last);
    };
    const bytes = Buffer.byteLength(body);
    const asked: Asked = {
      text: route.request(path, body, bytes),
      encoding: bytes === body.length ? 'latin1' : 'utf8',
      most,
      resolve: (reply) => { settled(); done(reply); },
      reject: (cause) => { settled(); failed(cause); },
      connection: undefined,
    };
    pool.ask(asked);
  });
}
