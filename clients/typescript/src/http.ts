// As much of HTTP/1.1 (RFC 9112) as one question and its answer need, without a socket: what is sent, and how an answer is read.
// `fetch` of Node.js takes several times as long as the server does. Nothing that is not understood here is an answer.

import { TokenwardError, answerTooLong, type Reply } from './wire.js';

/** Most bytes of the head of an answer, and of the line before a chunk. */
export const HEAD_BYTES = 65_536;
const CHUNK_LINE_BYTES = 1_024;

const STATUS = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: [^\n\0]*)?$/;
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\n\0]*)$/;
const SIZE = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?$/;

const noHttp = (why: string) => new TokenwardError('answer', `What answered is no Tokenward server: it does not speak HTTP (${why}).`);

/** What stands before the body of every question to a server. */
export class Route {
  readonly #path: string;
  readonly #fields: string;

  constructor(base: string, authorization: string) {
    const { host, pathname } = new URL(base);
    this.#path = pathname.replace(/\/+$/, '');
    this.#fields = `Host: ${host}\r\nAuthorization: ${authorization}\r\nContent-Type: application/json\r\nAccept-Encoding: identity\r\n`;
  }

  request(path: string, body: string, bytes: number): string {
    return `POST ${this.#path}${path} HTTP/1.1\r\n${this.#fields}Content-Length: ${bytes}\r\n\r\n${body}`;
  }
}

/** An answer as it comes in. */
export class Answer {
  /** Can the connection take the next question? */
  reusable = false;
  /** Has anything come? */
  begun = false;
  readonly #most: number;
  /** What has come and is not read: of the head, or of a line between chunks. */
  #held: Buffer | undefined;
  /** The body, from where the head has ended on. */
  #parts: Buffer[] | undefined;
  #bytes = 0;
  /** Bytes of the body, or of the chunk, that are still to come; undefined for a body that ends with the connection. */
  #left: number | undefined = 0;
  #chunked = false;
  #lastChunk = false;
  /** Is the end of the line behind a chunk still to come? */
  #lineEnd = false;
  #status = 0;
  #retryAfter: string | null = null;

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes what has come; the answer, once it is whole. */
  feed(data: Buffer): Reply | undefined {
    this.begun = true;
    let held = this.#held === undefined ? data : Buffer.concat([this.#held, data]);
    this.#held = undefined;
    while (this.#parts === undefined) {
      const end = held.indexOf('\r\n\r\n');
      if (end > HEAD_BYTES || (end < 0 && held.length > HEAD_BYTES)) throw noHttp('its head has no end');
      if (end < 0) {
        this.#held = held;
        return undefined;
      }
      this.#head(held.toString('latin1', 0, end));
      held = held.subarray(end + 4);
    }
    if (this.#chunked) return this.#chunks(held);
    const rest = this.#take(held);
    return this.#left === 0 ? this.#whole(rest) : undefined;
  }

  /** The other end has closed: the answer, where it was to end so. */
  closed(): Reply | undefined {
    this.reusable = false;
    return this.#parts !== undefined && this.#left === undefined ? this.#whole(undefined) : undefined;
  }

  #head(text: string): void {
    const [first = '', ...lines] = text.split('\r\n');
    const [, version, status] = STATUS.exec(first) ?? [];
    if (status === undefined) throw noHttp('its first line is none');
    this.#status = Number(status);
    let length: number | undefined;
    let [coding, connection] = ['', ''];
    for (const line of lines) {
      const [, name, text] = FIELD.exec(line) ?? [];
      if (name === undefined || text === undefined) throw noHttp('a line of its head is none');
      const value = text.trim();
      switch (name.toLowerCase()) {
        case 'content-length':
          // Two that differ, or a sign before it, would split one answer into two.
          if (!/^[0-9]{1,15}$/.test(value) || (length !== undefined && length !== Number(value))) throw noHttp('its length is none');
          length = Number(value);
          break;
        case 'transfer-encoding':
          coding += `,${value.toLowerCase()}`;
          break;
        case 'connection':
          connection += `,${value.toLowerCase()}`;
          break;
        case 'retry-after':
          this.#retryAfter = value;
      }
    }
    if (this.#status === 101) throw noHttp('it speaks of another protocol');
    // What comes before an answer.
    if (this.#status < 200) return;
    this.reusable = version === '1' && !connection.includes('close');
    this.#parts = [];
    if (this.#status === 204 || this.#status === 304) return;
    if (coding !== '') {
      if (coding !== ',chunked' || length !== undefined) throw noHttp('it is coded in a way that nobody asked for');
      this.#chunked = true;
      return;
    }
    this.#left = length;
    if (length !== undefined && length > this.#most) throw answerTooLong(this.#most);
  }

  /** Takes what belongs to the body, or to the chunk; what is behind it. */
  #take(held: Buffer): Buffer {
    const part = this.#left === undefined ? held : held.subarray(0, this.#left);
    this.#bytes += part.length;
    if (this.#bytes > this.#most) throw answerTooLong(this.#most);
    if (part.length > 0) this.#parts?.push(part);
    if (this.#left !== undefined) this.#left -= part.length;
    return held.subarray(part.length);
  }

  #chunks(coming: Buffer): Reply | undefined {
    let held = coming;
    for (;;) {
      if (this.#left) {
        held = this.#take(held);
        if (this.#left) return undefined;
        this.#lineEnd = true;
      }
      if (this.#lineEnd) {
        if (held.length >= 2) {
          if (held[0] !== 13 || held[1] !== 10) throw noHttp('a chunk has another length than it says');
          held = held.subarray(2);
          this.#lineEnd = false;
        }
      }
      const end = this.#lineEnd ? -1 : held.indexOf('\r\n');
      if (end > CHUNK_LINE_BYTES || (end < 0 && held.length > CHUNK_LINE_BYTES)) throw noHttp('a chunk says no length');
      if (end < 0) {
        this.#held = held;
        return undefined;
      }
      const line = held.toString('latin1', 0, end);
      held = held.subarray(end + 2);
      if (this.#lastChunk) {
        // Behind the last chunk come fields, and an empty line.
        if (line === '') return this.#whole(held);
        continue;
      }
      const [, size] = SIZE.exec(line) ?? [];
      if (size === undefined) throw noHttp('a chunk says no length');
      this.#left = Number.parseInt(size, 16);
      this.#lastChunk = this.#left === 0;
    }
  }

  #whole(behind: Buffer | undefined): Reply {
    // More than was asked for: nobody knows what it answers.
    if (behind?.length) this.reusable = false;
    const parts = this.#parts ?? [];
    const [first] = parts;
    const bytes = first !== undefined && parts.length === 1 ? first : Buffer.concat(parts);
    return { status: this.#status, retryAfter: this.#retryAfter, bytes };
  }
}
