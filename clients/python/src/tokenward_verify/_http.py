"""As much of HTTP/1.1 (RFC 9112) as one question and its answer need, without a socket: what is sent, and how an answer is read.

The standard library reads the head of an answer as if it were a mail, which takes longer than the rest of a question. Nothing
that is not understood here is an answer.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
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

    def request(self, path: str, content: bytes) -> bytes:
        return f"POST {self.target}{path} HTTP/1.1\r\n{self.fields}Content-Length: {len(content)}\r\n\r\n".encode("latin-1") + content


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


class Answer:
    """An answer as it comes in."""

    def __init__(self, most: int, *, tunnel: bool = False) -> None:
        self._most, self._tunnel = most, tunnel
        #: Has anything come?
        self.begun = False
        self._held = bytearray()
        self._body: bytearray | None = None
        #: Bytes of the body, or of the chunk, that are still to come; None for a body that ends with the connection.
        self._left: int | None = 0
        self._chunked = self._last_chunk = False
        #: Is the end of the line behind a chunk still to come?
        self._line_end = False
        self._status, self._retry_after = 0, None  # type: tuple[int, str | None]
        #: Does the connection stay open behind it, as it says?
        self._keeps = False
        #: Can the connection take the next question? Never before the answer is whole.
        self.reusable = False

    def feed(self, data: bytes) -> Reply | None:
        """Takes what has come; the answer, once it is whole."""
        if not self.begun:
            self.begun = True
            # Nearly each answer comes at once.
            end = data.find(b"\r\n\r\n", 0, HEAD_BYTES)
            if end >= 0:
                self._head(data[:end])
                data = data[end + 4 :]
                if self._left == len(data) and self._body is not None and not self._chunked:
                    self.reusable = self._keeps
                    return Reply(self._status, self._retry_after, data)
        self._held += data
        while self._body is None:
            end = self._held.find(b"\r\n\r\n")
            if end > HEAD_BYTES or end < 0 and len(self._held) > HEAD_BYTES:
                raise no_http("its head has no end")
            if end < 0:
                return None
            head = bytes(self._held[:end])
            del self._held[: end + 4]
            self._head(head)
        if self._chunked:
            return self._chunks(self._body)
        self._take(self._body)
        return self._whole() if self._left == 0 else None

    def closed(self) -> Reply:
        """The other end has closed: the answer, where it was to end so."""
        if self._body is None or self._left is not None:
            raise ConnectionResetError("it closed the connection in the middle of its answer")
        self._keeps = False
        return self._whole()

    def _head(self, head: bytes) -> None:
        read = _HEAD.fullmatch(head)
        if read is None:
            raise no_http("its head is none")
        self._status = int(read["status"])
        length: int | None = None
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
                self._retry_after = value.decode("latin-1")
        if self._status == 101:
            raise no_http("it speaks of another protocol")
        if self._status < 200:
            # What comes before an answer.
            return
        self._keeps = read["version"] == b"1" and b"close" not in connection
        self._body = bytearray()
        if self._status in (204, 304) or self._tunnel and 200 <= self._status < 300:
            return
        if coding:
            if coding != b",chunked" or length is not None:
                raise no_http("it is coded in a way that nobody asked for")
            self._chunked = True
            return
        self._left = length
        if length is not None and length > self._most:
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

    def _whole(self) -> Reply:
        # More than was asked for: nobody knows what it answers.
        self.reusable = self._keeps and not self._held
        return Reply(self._status, self._retry_after, bytes(self._body or b""))
