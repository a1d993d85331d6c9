"""The examples of the README and of docs/services.md, as they stand there."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.test import RequestFactory
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from .test_frameworks import ask, asgi
from .world import WORLD


class Readme(unittest.TestCase):
    def test_the_example_works_as_it_stands(self) -> None:
        text = (Path(__file__).parents[1] / "README.md").read_text()
        example = text.split("```python\n")[1].split("```")[0]
        names: dict[str, Any] = {}
        with mock.patch.dict(os.environ, {"TOKENWARD_URL": WORLD["url"], "TOKENWARD_TOKEN": WORLD["credential"]}):
            exec(compile(example, "README.md", "exec"), names)
        with asgi(names["app"]) as port:
            living = [("Authorization", f"Token {WORLD['tokens']['living']}")]
            self.assertEqual(ask(port, living, "GET")[:2], (200, '"hello living"'))
            self.assertEqual(ask(port, [], "GET")[0], 401)

    def test_frameworks_are_guarded_by_the_lines_of_the_page(self) -> None:
        text = (Path(__file__).parents[3] / "docs" / "services.md").read_text()
        lines = text.split("## Each framework")[1].split("```python\n")[1].split("```")[0]
        asgi_lines, settings_lines, view_lines = lines.replace('"https://tokens.acme.example"', 'os.environ["TOKENWARD_URL"]').split("\n# Django")

        async def invoices(request: Request) -> PlainTextResponse:
            return PlainTextResponse(f"hello {request.state.tokenward.token.name}")

        app = Starlette(routes=[Route("/invoices", invoices)])
        names: dict[str, Any] = {"os": os, "app": app, "MIDDLEWARE": []}
        with mock.patch.dict(os.environ, {"TOKENWARD_URL": WORLD["url"], "TOKENWARD_TOKEN": WORLD["credential"]}):
            exec(compile(asgi_lines, "services.md", "exec"), names)
            exec(compile(f"#{settings_lines}", "services.md", "exec"), names)
            exec(compile(f"#{view_lines}", "services.md", "exec"), names)
        with asgi(app) as port:
            self.assertEqual(ask(port, [("Authorization", f"Token {WORLD['tokens']['living']}")], "GET")[:2], (200, "hello living"))
            self.assertEqual(ask(port, [], "GET")[0], 401)
        self.assertEqual(names["MIDDLEWARE"], settings.MIDDLEWARE)
        self.assertEqual(names["TOKENWARD"] | {"timeout": 10.0}, settings.TOKENWARD)
        self.assertEqual(names["invoices"](RequestFactory().get("/invoices")).status_code, 401)


if __name__ == "__main__":
    unittest.main()
