"""What clients/testing/world.py made ready, and small servers that answer as a test wants."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORLD: dict[str, Any] = json.loads(Path(os.environ["TOKENWARD_WORLD"]).read_text())
VECTORS: dict[str, Any] = WORLD["vectors"]
#: For clients of httpx, each of which would read all authorities anew.
TLS = ssl.create_default_context()

YES = json.dumps(
    {
        "valid": True,
        "code": "valid",
        "token": {"id": "i", "name": "n", "kind": "api_token", "organization_id": "o", "role_id": "r", "role_name": "devops", "expires_at": None},
    }
).encode()


def content(row: dict[str, Any]) -> bytes:
    """The bytes of an answer of the table."""
    if "json" in row:
        return json.dumps(row["json"]).encode()
    return b"x" * row["bytes"] if "bytes" in row else base64.b64decode(row["base64"])


class Handler(BaseHTTPRequestHandler):
    """Answers POST by the function of its server."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers, answer = self.server.answer(self, body)  # type: ignore[attr-defined]
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except ConnectionError:
            # A client that reads no more than it wants.
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


Answer = Callable[[Handler, bytes], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """An HTTP server on a free port; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answer = answer  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def listening(use: Callable[[socket.socket], None]) -> Iterator[str]:
    """Bare sockets; `use` gets each in a thread of its own."""
    server = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            taken.append(connection)
            threading.Thread(target=use, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in taken:
            connection.close()


def read_request(connection: socket.socket) -> bool:
    """Reads one request off a bare socket; False at its end."""
    head = b""
    while b"\r\n\r\n" not in head:
        try:
            part = connection.recv(65_536)
        except OSError:
            return False
        if not part:
            return False
        head += part
    before, _, body = head.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in before.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += connection.recv(65_536)
    return True


def reset(connection: socket.socket) -> None:
    """Ends a connection as a process that dies does."""
    import struct

    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reply(connection: socket.socket, body: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
