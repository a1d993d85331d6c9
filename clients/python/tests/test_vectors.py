"""The table that all clients run, by both clients of this one, over their own connections and over those of httpx."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import socket
import unittest
from dataclasses import asdict
from datetime import datetime
from typing import Any

import httpx

from tokenward_verify import AsyncTokenward, Needs, Question, Request, Tokenward, TokenwardError, Verdict
from tokenward_verify import _wire as wire
from tokenward_verify.guard import NoCredential, Passed, Presented, Refusal, after, before, credential_of, failed

from .world import TLS, VECTORS, Handler, content, listening, read_request, serving

REQUEST = Presented(["Token twd_x"], [], "GET", "/")


def by_threads(url: str, question: Question) -> Verdict:
    with Tokenward(url, "twd_service", timeout=10) as client:
        return client.ask(question)


def by_coroutines(url: str, question: Question) -> Verdict:
    async def ask() -> Verdict:
        async with AsyncTokenward(url, "twd_service", timeout=10) as client:
            return await client.ask(question)

    return asyncio.run(ask())


def by_httpx(url: str, question: Question) -> Verdict:
    with httpx.Client(verify=TLS) as own:
        return Tokenward(url, "twd_service", timeout=10, client=own).ask(question)


def by_httpx_coroutines(url: str, question: Question) -> Verdict:
    async def ask() -> Verdict:
        async with httpx.AsyncClient(verify=TLS) as own:
            return await AsyncTokenward(url, "twd_service", timeout=10, client=own).ask(question)

    return asyncio.run(ask())


CLIENTS = (by_threads, by_coroutines, by_httpx, by_httpx_coroutines)


def question(row: dict[str, Any]) -> Question:
    more = dict(row)
    if "request" in more:
        more["request"] = Request(**more["request"])
    return Question(**more)


def told(verdict: Verdict) -> dict[str, Any]:
    """A verdict by the names of the table."""
    body = {name: value for name, value in asdict(verdict).items() if value is not None and name != "explain"}
    return {"reason": None, **body}


def expected(row: dict[str, Any]) -> dict[str, Any]:
    verdict = dict(row)
    if "token" in verdict:
        end = verdict["token"].get("expires_at")
        more = {"labels": None, "metadata": None}
        verdict["token"] = {**more, **verdict["token"], "expires_at": datetime.fromisoformat(end.replace("Z", "+00:00")) if end else None}
    return verdict


class TheTable(unittest.TestCase):
    def setUp(self) -> None:
        logging.getLogger("tokenward").setLevel(logging.CRITICAL)

    def test_limits_and_reasons_are_those_of_the_server(self) -> None:
        self.assertEqual((wire.PRESENTED_BYTES, wire.BATCH), (VECTORS["presented_bytes"], VECTORS["batch"]))
        ours = [{"code": code, "refuses_credential": status == 401, "sentence": text} for code, (status, text) in wire.REASONS.items()]
        self.assertEqual(ours, VECTORS["reasons"])

    def test_an_address_is_read_or_refused(self) -> None:
        for row in VECTORS["urls"]:
            with self.subTest(row["url"]):
                if "base" in row:
                    self.assertEqual(Tokenward(row["url"], "x").base, row["base"])
                else:
                    with self.assertRaises(TokenwardError) as caught:
                        AsyncTokenward(row["url"], "x")
                    self.assertEqual(caught.exception.kind, "question")
                    self.assertNotIn("secret", str(caught.exception))

    def test_a_question_is_sent_as_it_is_or_never(self) -> None:
        sent: list[Any] = []

        def answer(handler: Handler, body: bytes) -> tuple[int, dict[str, str], bytes]:
            sent.append((handler.path, handler.headers["Authorization"], json.loads(body)))
            return 200, {}, b'{"valid":false,"code":"unknown"}'

        with serving(answer) as url:
            for row in VECTORS["questions"]:
                for ask in CLIENTS:
                    sent.clear()
                    with self.subTest(str(row)[:200], client=ask.__name__):
                        if row.get("refused"):
                            with self.assertRaises(TokenwardError) as caught:
                                ask(f"{url}/below/", question(row["ask"]))
                            self.assertEqual((caught.exception.kind, sent), ("question", []))
                        elif row.get("malformed"):
                            self.assertEqual((ask(f"{url}/below/", question(row["ask"])).reason, sent), ("malformed", []))
                        else:
                            ask(f"{url}/below/", question(row["ask"]))
                            self.assertEqual(sent, [("/below/verify", "Token twd_service", row["body"])])

    def test_each_answer_says_what_it_must(self) -> None:
        for row in VECTORS["answers"]:
            for ask in CLIENTS:
                with self.subTest(row["name"], client=ask.__name__):
                    with serving(lambda handler, body: (row["status"], row.get("headers", {}), content(row))) as url:
                        self.answered(row, url, lambda: ask(url, Question("twd_x")))

    def answered(self, row: dict[str, Any], url: str, ask: Any) -> None:
        asked = before(Needs(permission="invoices:write"), REQUEST)
        self.assertIsInstance(asked, Question)
        outcome: Passed | Refusal
        try:
            verdict = ask()
        except TokenwardError as error:
            self.assertEqual(error.kind, row.get("error"), error)
            outcome = failed(error)
        else:
            self.assertEqual(told(verdict), expected(row["verdict"]))
            if verdict.decision_id:
                self.assertEqual(verdict.explain, f"{url}/decision/{verdict.decision_id}")
            outcome = after(verdict)
        respond = row["respond"]
        if respond["status"] == 200:
            assert isinstance(outcome, Passed)
            return
        assert isinstance(outcome, Refusal)
        self.assertEqual((outcome.status, outcome.body["code"]), (respond["status"], respond["code"]))
        self.assertEqual(outcome.headers.get("WWW-Authenticate"), respond.get("www_authenticate"))
        self.assertEqual(outcome.body.get("missing_permission"), respond.get("missing_permission"))
        if "retry_after" in respond:
            self.assertEqual(outcome.headers["Retry-After"], str(respond["retry_after"]))
        if "detail" in respond:
            self.assertEqual(outcome.body["detail"], respond["detail"])

    def test_each_answer_byte_by_byte_says_what_it_must(self) -> None:
        for row in VECTORS["wire"]:
            sent = base64.b64decode(row["base64"])
            # All at once, and in pieces that end anywhere.
            for piece in (len(sent), 7) if len(sent) < 1_000 else (len(sent),):
                for ask in CLIENTS:
                    with self.subTest(row["name"], piece=piece, client=ask.__name__):
                        self.over_the_wire(row, sent, max(piece, 1), ask)

    def over_the_wire(self, row: dict[str, Any], sent: bytes, piece: int, ask: Any) -> None:
        requests: list[bool] = []

        def answer(connection: socket.socket) -> None:
            while read_request(connection):
                requests.append(True)
                try:
                    for at in range(0, len(sent), piece):
                        connection.sendall(sent[at : at + piece])
                    if row["closes"]:
                        connection.shutdown(socket.SHUT_WR)
                except OSError:
                    # A client that reads no more than it wants.
                    return

        with listening(answer) as url:
            if "error" in row:
                with self.assertRaises(TokenwardError) as caught:
                    ask(url, Question("twd_x"))
                self.assertEqual(caught.exception.kind, row["error"], caught.exception)
            else:
                verdict = ask(url, Question("twd_x"))
                self.assertEqual((verdict.valid, verdict.token.role_name), (True, "devops"))
            self.assertEqual(len(requests), 1, "what a server has begun to answer is not asked again")

    def test_one_credential_of_a_request_is_found_or_none(self) -> None:
        for row in VECTORS["credentials"]:
            with self.subTest(str(row)):
                keys = {"authorization": [], "x-api-key": []}  # type: dict[str, list[str]]
                for name, value in row["headers"]:
                    keys[name.lower()].append(value)
                found = credential_of(keys["authorization"], keys["x-api-key"])
                self.assertEqual(found, row["token"] if "token" in row else NoCredential(row["code"]))
                if "code" in row:
                    outcome = before(Needs(identity="any"), Presented(keys["authorization"], keys["x-api-key"], "GET", "/"))
                    assert isinstance(outcome, Refusal)
                    self.assertEqual((outcome.status, outcome.headers["WWW-Authenticate"]), (401, row["www_authenticate"]))


if __name__ == "__main__":
    unittest.main()
