"""As much of HTTP/1.1 (RFC 9112) as one question and its answer need, without a socket: what is sent, and how an answer is read.

The standard library reads the head of an answer as if it were a mail, which takes longer than the rest of a question. Nothing
that is not understood here is an answer.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ._wire import Reply, TokenwardError

#: Most bytes of the head of an answer, and of the line before a chunk.
HEAD_BYTES = 65_536
CHUNK_LINE_BYTES = 1_024

# The whole head at once, and what of it is looked at: a loop over its lines takes several times as long.
_HEAD = re.compile(
    rb"HTTP/1\.(?P<version>[01]) (?P<status>[1-5][0-9]{2})(?: [^\r\n\0]*)?(?P<lines>(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)*)"
)
_FIELDS = re.compile(rb"\n(content-length|transfer-encoding|connection|retry-after):([^\r]*)", re.IGNORECASE)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?", re.DOTALL)


def no_http(why: str) -> TokenwardError:
    return TokenwardError("answer", f"What answered is no Tokenward server: it does not speak HTTP ({why}).")


def answer_too_long(most: int) -> TokenwardError:
    return TokenwardError("answer", f"What answered is no Tokenward server: its body is longer than {most} bytes.")


@dataclass(frozen=True)
class Route:
    """The way to a server: where to connect, and what stands in every request."""

    host: str
    port: int
    #: The name in the server's certificate; None for one without TLS.
    secure: str | None
    #: What goes before the first request, through a proxy to a server with TLS. Not shown: the proxy's password stands in it.
    tunnel: bytes | None = field(repr=False)
    #: The target of a request before its path, and the fields of every request. Not shown: the service's own token stands in them.
    target: str
    fields: str = field(repr=False)

    @cached_property
    def _heads(self) -> dict[str, bytes]:
        """What stands before the length of a request, by its path."""
        return {}

    def request(self, path: str, content: bytes) -> bytes:
        head = self._heads.get(path)
        if head is None:
            head = f"POST {self.target}{path} HTTP/1.1\r\n{self.fields}Content-Length: ".encode("latin-1")
            self._heads[path] = head
        return b"%b%d\r\n\r\n%b" % (head, len(content), content)


def route(base: str, headers: dict[str, str]) -> Route:
    """The way to the server at an address, by the variables for proxies as ``urllib`` reads them."""
    server = urlsplit(base)
    host, secure = _ascii(server.hostname or ""), server.scheme == "https"
    port = server.port or (443 if secure else 80)
    place = f"[{host}]" if ":" in host else host
    named = place if server.port is None else f"{place}:{port}"
    path = quote(server.path, safe="/%:@!$&'()*+,;=~")
    fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": named, **headers}.items())
    proxy = None if proxy_bypass(host) else getproxies().get(server.scheme)
    if not proxy:
        return Route(host, port, host if secure else None, None, path, fields)
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    way_host, way_port, own = way.hostname or "", way.port or 80, _proxy_credential(way)
    if secure:
        tunnel = f"CONNECT {place}:{port} HTTP/1.1\r\nHost: {place}:{port}\r\n{own}\r\n"
        return Route(way_host, way_port, host, tunnel.encode("latin-1"), path, fields)
    # Through a proxy a plain request names its whole address (RFC 9112 §3.2.2).
    return Route(way_host, way_port, None, None, f"http://{named}{path}", own + fields)


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise TokenwardError("question", "The address of the Tokenward server is none: its host cannot be written in ASCII.") from None


def _proxy_credential(way: SplitResult) -> str:
    if way.username is None:
        return ""
    pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"


class Head(NamedTuple):
    """What the head of an answer says."""

    status: int
    retry_after: str | None
    #: Bytes of the body; None where it does not say it.
    length: int | None
    #: Another form of the body, all of its names.
    coding: bytes
    #: Does the connection stay open behind it, as it says?
    keeps: bool


def _read_head(head: bytes) -> Head:
    read = _HEAD.fullmatch(head)
    if read is None:
        raise no_http("its head is none")
    status = int(read["status"])
    length: int | None = None
    retry_after: str | None = None
    coding = connection = b""
    for name, value in _FIELDS.findall(read["lines"]):
        name, value = name.lower(), value.strip()
        if name == b"content-length":
            # Two that differ, or a sign before it, would split one answer into two.
            if not value.isdigit() or len(value) > 15 or length not in (None, int(value)):
                raise no_http("its length is none")
            length = int(value)
        elif name == b"transfer-encoding":
            coding += b"," + value.lower()
        elif name == b"connection":
            connection += b"," + value.lower()
        else:
            retry_after = value.decode("latin-1")
    if status == 101:
        raise no_http("it speaks of another protocol")
    if status < 200 or status in (204, 304):
        # It has no body, whatever it says of one.
        length, coding = 0, b""
    return Head(status, retry_after, length, coding, read["version"] == b"1" and b"close" not in connection)


# The heads of one second differ in their length alone, so that nearly each has been read before.
_read_again = lru_cache(maxsize=256)(_read_head)


def read_head(head: bytes) -> Head:
    return _read_again(head) if len(head) <= 1_024 else _read_head(head)


class Answer:
    """An answer as it comes in."""

    #: Has anything come?
    begun = False
    #: Can the connection take the next question? Never before the answer is whole.
    reusable = False
    # Those that nearly each answer does without, since it comes at once.
    _head: Head
    _body: bytearray | None = None
    #: Bytes of the body, or of the chunk, that are still to come; None for a body that ends with the connection.
    _left: int | None = 0
    _chunked = _last_chunk = False
    #: Is the end of the line behind a chunk still to come?
    _line_end = False

    def __init__(self, most: int, *, tunnel: bool = False) -> None:
        self._most, self._tunnel = most, tunnel
        self._held = bytearray()

    def feed(self, data: bytes) -> Reply | None:
        """Takes what has come; the answer, once it is whole."""
        if not self.begun:
            self.begun = True
            end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
            if end >= 0 and not self._tunnel:
                # Nearly each answer comes at once.
                head, body = read_head(data[:end]), data[end + 4 :]
                if head.length == len(body) <= self._most and head.status >= 200 and not head.coding:
                    self.reusable = head.keeps
                    return Reply(head.status, head.retry_after, body)
        self._held += data
        while self._body is None:
            end = self._held.find(b"\r\n\r\n")
            if end > HEAD_BYTES or end < 0 and len(self._held) > HEAD_BYTES:
                raise no_http("its head has no end")
            if end < 0:
                return None
            head = read_head(bytes(self._held[:end]))
            del self._held[: end + 4]
            # Others come before an answer.
            if head.status >= 200:
                self._begin(head)
        if self._chunked:
            return self._chunks(self._body)
        self._take(self._body)
        return self._whole() if self._left == 0 else None

    def closed(self) -> Reply:
        """The other end has closed: the answer, where it was to end so."""
        if self._body is None or self._left is not None:
            raise ConnectionResetError("it closed the connection in the middle of its answer")
        return self._whole(ended=True)

    def _begin(self, head: Head) -> None:
        self._head, self._body = head, bytearray()
        if self._tunnel and head.status < 300:
            # Behind it is the tunnel.
            return
        if head.coding:
            if head.coding != b",chunked" or head.length is not None:
                raise no_http("it is coded in a way that nobody asked for")
            self._chunked = True
            return
        self._left = head.length
        if head.length is not None and head.length > self._most:
            raise answer_too_long(self._most)

    def _take(self, body: bytearray) -> None:
        part = self._held if self._left is None else self._held[: self._left]
        if len(body) + len(part) > self._most:
            raise answer_too_long(self._most)
        body += part
        if self._left is not None:
            self._left -= len(part)
        del self._held[: len(part)]

    def _chunks(self, body: bytearray) -> Reply | None:
        while True:
            if self._left:
                self._take(body)
                if self._left:
                    return None
                self._line_end = True
            if self._line_end:
                if len(self._held) < 2:
                    return None
                if self._held[:2] != b"\r\n":
                    raise no_http("a chunk has another length than it says")
                del self._held[:2]
                self._line_end = False
            end = self._held.find(b"\r\n")
            if end < 0:
                if len(self._held) > CHUNK_LINE_BYTES:
                    raise no_http("a chunk says no length")
                return None
            line = bytes(self._held[:end])
            del self._held[: end + 2]
            if self._last_chunk:
                # Behind the last chunk come fields, and an empty line.
                if not line:
                    return self._whole()
                continue
            size = _SIZE.fullmatch(line)
            if size is None:
                raise no_http("a chunk says no length")
            self._left = int(size[1], 16)
            self._last_chunk = self._left == 0

    def _whole(self, *, ended: bool = False) -> Reply:
        # More than was asked for: nobody knows what it answers.
        self.reusable = self._head.keeps and not ended and not self._held
        return Reply(self._head.status, self._head.retry_after, bytes(self._body or b""))
