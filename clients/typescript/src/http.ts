// As much of HTTP/1.1 (RFC 9112) as one question and its answer need, without a socket: what is sent, and how an answer is read.
// `fetch` of Node.js takes several times as long as the server does. Nothing that is not understood here is an answer.

import { TokenwardError, answerTooLong, textOf, type Reply } from './wire.js';

/** Most bytes of the head of an answer, and of the line before a chunk. */
export const HEAD_BYTES = 65_536;
const CHUNK_LINE_BYTES = 1_024;

/** A whole head (RFC 9112 §4, §5): no field is folded, and in none stands half the end of a line, or a zero. */
const HEAD = /^HTTP\/1\.[01] [1-5][0-9]{2}(?: [^\r\n\0]*)?(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)*$/;
const LENGTH = /^[0-9]{1,15}$/;
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

/** What the head of an answer says. */
interface Head {
  readonly status: number;
  readonly retryAfter: string | null;
  /** Bytes of the body; undefined for one in chunks, and for one that ends with the connection. */
  readonly length: number | undefined;
  readonly chunked: boolean;
  /** Does the connection stay open behind it? */
  readonly stays: boolean;
}

/** Reads a head without taking it apart: one pass says whether it is one, and one each finds the fields that count. */
function readHead(text: string): Head {
  if (!HEAD.test(text)) throw noHttp('its head is none');
  const status = Number(text.slice(9, 12));
  if (status === 101) throw noHttp('it speaks of another protocol');
  const small = text.toLowerCase();
  const lengths = valuesOf(small, '\r\ncontent-length:');
  const [length] = lengths;
  // Two that differ, or a sign before it, would split one answer into two.
  if (lengths.some((it) => !LENGTH.test(it) || Number(it) !== Number(length))) throw noHttp('its length is none');
  const codings = valuesOf(small, '\r\ntransfer-encoding:');
  const retryAfter = valuesOf(small, '\r\nretry-after:').at(-1) ?? null;
  const stays = text[7] === '1' && !valuesOf(small, '\r\nconnection:').some((it) => it.includes('close'));
  // What comes before an answer (1xx) has no body either.
  if (status < 200 || status === 204 || status === 304) return { status, retryAfter, length: 0, chunked: false, stays };
  const chunked = codings.length > 0;
  if (chunked && (codings.length > 1 || codings[0] !== 'chunked' || length !== undefined)) {
    throw noHttp('it is coded in a way that nobody asked for');
  }
  return { status, retryAfter, length: length === undefined ? undefined : Number(length), chunked, stays };
}

const NONE: readonly string[] = [];

/** All values of a field in a head of small letters; `mark` is how its line begins, with the end of the line before. */
function valuesOf(head: string, mark: string): readonly string[] {
  let at = head.indexOf(mark);
  if (at < 0) return NONE;
  const values: string[] = [];
  for (; at >= 0; at = head.indexOf(mark, at + mark.length)) {
    const end = head.indexOf('\r\n', at + mark.length);
    values.push(head.slice(at + mark.length, end < 0 ? head.length : end).trim());
  }
  return values;
}

/** The text of a body, read strictly wherever the quick way may have put something in its place. */
function bodyText(bytes: Buffer): string | undefined {
  const text = bytes.toString();
  return text.includes('\ufffd') || text.startsWith('\ufeff') ? textOf(bytes) : text;
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
  /** Once it is whole. */
  #head: Head | undefined;
  /** Of the body, where it does not come at once. */
  #parts: Buffer[] | undefined;
  #bytes = 0;
  /** Bytes of the body, or of the chunk, that are still to come; undefined for a body that ends with the connection. */
  #left: number | undefined = 0;
  #lastChunk = false;
  /** Is the end of the line behind a chunk still to come? */
  #lineEnd = false;

  constructor(most: number) {
    this.#most = most;
  }

  /** Takes what has come; the answer, once it is whole. Nothing of `data` is kept: the next that comes is written over it. */
  feed(data: Buffer): Reply | undefined {
    this.begun = true;
    let held = this.#held === undefined ? data : Buffer.concat([this.#held, data]);
    this.#held = undefined;
    while (this.#head === undefined) {
      // A character for each byte, so that its places are theirs.
      const text = held.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end > HEAD_BYTES || (end < 0 && held.length > HEAD_BYTES)) throw noHttp('its head has no end');
      if (end < 0) {
        this.#held = Buffer.from(held);
        return undefined;
      }
      const head = readHead(text.slice(0, end));
      if (head.status >= 200) this.#begin(head);
      held = held.subarray(end + 4);
    }
    if (this.#head.chunked) return this.#chunks(held);
    if (this.#parts === undefined && held.length === this.#left) return this.#reply(this.#head, held);
    const rest = this.#take(held);
    return this.#left === 0 ? this.#whole(rest) : undefined;
  }

  /** The other end has closed: the answer, where it was to end so. */
  closed(): Reply | undefined {
    this.reusable = false;
    return this.#left === undefined ? this.#whole(undefined) : undefined;
  }

  #begin(head: Head): void {
    const { length } = head;
    if (length !== undefined && length > this.#most) throw answerTooLong(this.#most);
    this.#head = head;
    this.reusable = head.stays;
    this.#left = head.chunked ? 0 : length;
  }

  /** Takes what belongs to the body, or to the chunk; what is behind it. */
  #take(held: Buffer): Buffer {
    const part = this.#left === undefined ? held : held.subarray(0, this.#left);
    this.#bytes += part.length;
    if (this.#bytes > this.#most) throw answerTooLong(this.#most);
    if (part.length > 0) (this.#parts ??= []).push(Buffer.from(part));
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
        this.#held = Buffer.from(held);
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

  #whole(behind: Buffer | undefined): Reply | undefined {
    // More than was asked for: nobody knows what it answers.
    if (behind?.length) this.reusable = false;
    return this.#head && this.#reply(this.#head, Buffer.concat(this.#parts ?? []));
  }

  #reply({ status, retryAfter }: Head, body: Buffer): Reply {
    return { status, retryAfter, text: bodyText(body) };
  }
}
