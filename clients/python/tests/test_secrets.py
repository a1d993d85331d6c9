"""No token stands in what a service shows of its objects: in logs, in reports of errors with their variables, in a debugger."""

from __future__ import annotations

import logging
import os
import unittest
from unittest import mock

from tokenward_verify import AsyncTokenward, Needs, Question, Tokenward, TokenwardError
from tokenward_verify._base import Asking, Settings, one, several
from tokenward_verify._http import route
from tokenward_verify.guard import NoCredential, Presented, before, credential_of, failed

OWN, THEIRS = "twd_of_the_service", "twd_of_a_caller"


class Secrets(unittest.TestCase):
    def test_stand_in_nothing_that_is_shown(self) -> None:
        settings = Settings("http://127.0.0.1:9", OWN, 1, 0)
        question = Question(THEIRS, permission="a:b")
        asking, batch = one(settings, question), several(settings, [question], None)
        assert isinstance(asking, Asking) and isinstance(batch, Asking)
        presented = Presented([f"Bearer {THEIRS}"], [THEIRS], "GET", "/")
        asked = before(Needs(permission="a:b"), Presented([f"Bearer {THEIRS}"], [], "GET", "/"))
        self.assertIsInstance(asked, Question)
        with mock.patch.dict(os.environ, {"https_proxy": "http://user:hush@127.0.0.1:9", "no_proxy": ""}):
            tunnelled = route("https://tokens.acme.example", settings.headers)
        shown = [
            question, asking, batch, presented, asked, settings, tunnelled, route(settings.base, settings.headers),
            Tokenward(settings.base, OWN), AsyncTokenward(settings.base, OWN), Needs(permission="a:b"),
        ]
        for it in shown:
            for text in (repr(it), str(it), f"{it}"):
                for secret in (OWN, THEIRS, "hush", "dXNlcjpodXNo"):
                    self.assertNotIn(secret, text)

    def test_stand_in_no_line_of_the_log(self) -> None:
        # What others raise may have all of a text in its `repr`.
        broken: list[Exception] = [UnicodeEncodeError("latin-1", THEIRS, 0, 1, "odd"), TokenwardError("answer", "odd")]
        for error in broken:
            with self.assertLogs("tokenward", logging.ERROR) as log:
                refused = failed(error)
            self.assertEqual(refused.status, 503)
            self.assertNotIn(THEIRS, "".join(log.output) + refused.content.decode())
            self.assertIn("odd", log.output[0])


class OddCredentials(unittest.TestCase):
    def test_letters_that_no_base64_has_are_no_fault_of_the_service(self) -> None:
        for value in ("Basic \u00fc\u00fc", "Basic \x00", "Basic =", "Basic \ud800"):
            self.assertEqual(credential_of([value], []), NoCredential("missing_credentials"), repr(value))


if __name__ == "__main__":
    unittest.main()
