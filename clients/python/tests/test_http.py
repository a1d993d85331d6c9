"""An answer of HTTP is read as it comes, in whatever pieces, and what is none is refused."""

from __future__ import annotations

import unittest

from tokenward_verify import TokenwardError
from tokenward_verify._http import HEAD_BYTES, Answer, route
from tokenward_verify._wire import Reply

OK = b"HTTP/1.1 200 OK\r\n"
TWO = OK + b"Content-Length: 2\r\n"

WHOLE: dict[bytes, tuple[int, bytes, bool]] = {
    TWO + b"\r\n{}": (200, b"{}", True),
    b"HTTP/1.1 503\r\ncontent-length:2\r\nRETRY-AFTER: 7 \r\n\r\n{}": (503, b"{}", True),
    TWO + b"Connection: keep-alive, Close\r\n\r\n{}": (200, b"{}", False),
    TWO + b"Content-Length: 2\r\n\r\n{}": (200, b"{}", True),
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}": (200, b"{}", False),
    b"HTTP/1.1 204 No Content\r\n\r\n": (204, b"", True),
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + TWO + b"\r\n{}": (200, b"{}", True),
    OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX: y\r\n\r\n": (200, b"{}", True),
    OK + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n": (200, b"0123456789", True),
    OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n": (200, b"", True),
}

NONE = [
    b"SSH-2.0-OpenSSH_9\r\n\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 20 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    OK + b"no colon\r\n\r\n",
    OK + b": no name\r\n\r\n",
    OK + b"X: y\nContent-Length: 2\r\n\r\n{}",
    OK + b"X: y\r\n folded: 2\r\nContent-Length: 2\r\n\r\n{}",
    OK + b"Content-Length : 2\r\n\r\n{}",
    OK + b" folded: 2\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    OK + b"Content-Length: -2\r\n\r\n{}",
    OK + b"Content-Length: +2\r\n\r\n{}",
    OK + b"Content-Length: 2, 2\r\n\r\n{}",
    OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 2_000,
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES,
    OK + b"Content-Length: 17\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + b"x" * 17,
    OK + b"\r\n" + b"x" * 17,
]


def read(text: bytes, piece: int) -> tuple[Reply | None, Answer]:
    answer = Answer(16)
    reply = None
    for at in range(0, len(text), piece):
        reply = answer.feed(text[at : at + piece])
    return reply, answer


class AnAnswer(unittest.TestCase):
    def test_is_the_same_in_whatever_pieces_it_comes(self) -> None:
        for text, (status, content, reusable) in WHOLE.items():
            for piece in (1, 2, 3, len(text)):
                with self.subTest(text, piece=piece):
                    reply, answer = read(text, piece)
                    assert reply is not None
                    self.assertEqual((reply.status, reply.content, answer.reusable), (status, content, reusable))
                    self.assertEqual(reply.retry_after, "7" if status == 503 else None)

    def test_that_is_not_whole_is_none(self) -> None:
        for text in WHOLE:
            for end in range(len(text)):
                with self.subTest(text, end=end):
                    reply, answer = read(text[:end], max(end, 1))
                    self.assertIsNone(reply)
                    with self.assertRaises(ConnectionError):
                        answer.closed()

    def test_without_a_length_ends_with_its_connection(self) -> None:
        reply, answer = read(OK + b"\r\n{}", 1)
        self.assertIsNone(reply)
        self.assertEqual((answer.closed().content, answer.reusable), (b"{}", False))

    def test_with_more_behind_it_ends_its_connection(self) -> None:
        _, answer = read(TWO + b"\r\n{}HTTP/1.1 200 OK\r\n", 1_000)
        self.assertFalse(answer.reusable)

    def test_with_a_head_that_was_read_before_is_bounded_and_counted_anew(self) -> None:
        head = OK + b"Content-Length: 12\r\n\r\n"
        for _ in range(2):
            reply, answer = read(head + b"x" * 12, 1_000)
            assert reply is not None
            self.assertEqual((reply.content, answer.reusable), (b"x" * 12, True))
            short = Answer(11)
            with self.assertRaises(TokenwardError):
                short.feed(head + b"x" * 12)
            self.assertFalse(short.reusable)
            more = Answer(16)
            self.assertIsNone(more.feed(head + b"x" * 11))
            self.assertFalse(more.reusable)

    def test_of_a_proxy_that_opens_a_tunnel_has_no_body(self) -> None:
        for field in (b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"):
            reply = Answer(16, tunnel=True).feed(OK + field + b"\r\n")
            assert reply is not None
            self.assertEqual((reply.status, reply.content), (200, b""))

    def test_that_is_none_is_refused(self) -> None:
        for text in NONE:
            for piece in (1, len(text)):
                with self.subTest(text[:80], piece=piece), self.assertRaises(TokenwardError) as caught:
                    read(text, piece)
                    self.fail("it was read")
                self.assertEqual(caught.exception.kind, "answer")


class ARequest(unittest.TestCase):
    def test_holds_nothing_that_an_address_has_put_there(self) -> None:
        for base, first in {
            "http://h/a b": "POST /a%20b/verify HTTP/1.1\r\nHost: h\r\n",
            "http://h:81/é": "POST /%C3%A9/verify HTTP/1.1\r\nHost: h:81\r\n",
            "http://[::1]:81": "POST /verify HTTP/1.1\r\nHost: [::1]:81\r\n",
            "http://bücher.example": "POST /verify HTTP/1.1\r\nHost: xn--bcher-kva.example\r\n",
        }.items():
            self.assertTrue(route(base, {}).request("/verify", b"").decode().startswith(first), base)


if __name__ == "__main__":
    unittest.main()
