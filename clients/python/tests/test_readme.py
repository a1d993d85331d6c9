"""The example of the README, as it stands there."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

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


if __name__ == "__main__":
    unittest.main()
