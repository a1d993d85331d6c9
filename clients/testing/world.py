#!/usr/bin/env python3
"""Starts a real server, fills it with what the tests of the clients ask about, and runs a command beside it.

    clients/testing/world.py target/debug/tokenward -- node --test

The command finds the path of a JSON file in TOKENWARD_WORLD: `url`, `organization`, `credential` (a token of the role
`verifier`), `admin`, `data_dir` of the server, `tokens` by their state, `bounded` ones by why they are refused, and `vectors`,
the table that every client runs (see vectors.py).
Nothing else of the environment that begins with TOKENWARD_ reaches server or command.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import vectors

ROUTES = """\
[[route]]
method = "GET"
path = "/invoices"
permission = "invoices:read"

[[route]]
method = "POST"
path = "/invoices"
permission = "invoices:write"
"""


class Admin:
    """Asks the server, as the first token."""

    def __init__(self, url: str, organization: str, token: str) -> None:
        self.url, self.organization, self.token = url, organization, token
        # A proxy for the outside world has no business here.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        request.add_header("Authorization", f"Token {self.token}")
        if data is not None:
            request.add_header("Content-Type", kind)
        with self.opener.open(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def below(self, rest: str) -> str:
        return f"/organization/{self.organization}/{rest}"

    def roles(self) -> dict[str, str]:
        return {it["name"]: it["id"] for it in self.ask("GET", self.below("availableRole"))["results"]}

    def token_of(self, name: str, role: str, **more: object) -> dict[str, Any]:
        body = {"name": name, "role_id": self.roles()[role], **more}
        made: dict[str, Any] = self.ask("POST", self.below("apiToken"), body)
        return made


def ending(admin: Admin) -> tuple[dict[str, Any], datetime]:
    """A token that ends in a moment, and when. On a busy machine the first moment may be over before the server is asked."""
    for seconds in (1, 5, 30):
        soon = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        try:
            return admin.token_of("expired", "devops", expires_at=soon.isoformat()), soon
        except urllib.error.HTTPError as refused:
            if refused.code != 400:
                raise
    raise SystemExit("the server refuses an end that is half a minute away")


def tokens(admin: Admin) -> dict[str, str]:
    """A token in each state that a verification can find it in."""
    expired, soon = ending(admin)
    later = datetime.now(timezone.utc) + timedelta(days=1)
    made = {
        "living": admin.token_of("living", "devops"),
        "weak": admin.token_of("weak", "viewer"),
        "revoked": admin.token_of("revoked", "devops"),
        "disabled": admin.token_of("disabled", "devops"),
        "not_yet_valid": admin.token_of("not-yet-valid", "devops", not_before=later.isoformat()),
        "expired": expired,
        "network_denied": admin.token_of("bound", "devops", networks=[{"network": "203.0.113.0/24"}]),
        "replaced": admin.token_of("replaced", "devops"),
    }
    path = {name: admin.below(f"apiToken/{it['id']}") for name, it in made.items()}
    admin.ask("DELETE", path["revoked"])
    admin.ask("POST", f"{path['disabled']}/disable")
    admin.ask("POST", f"{path['replaced']}/rotate", {"keep": "0s"})
    while datetime.now(timezone.utc) <= soon:
        time.sleep(0.05)
    texts: dict[str, str] = {name: it["token"] for name, it in made.items()}
    # One letter is another one: its checksum is wrong.
    texts["malformed"] = texts["living"][:-1] + ("a" if texts["living"][-1] != "a" else "b")
    return texts


def bounded(admin: Admin) -> dict[str, str]:
    """Tokens that are accepted, and refused for something that lies in the question, or from the second time on."""
    made = {
        "scope_denied": admin.token_of("narrow", "devops", permissions=["invoices:read"]),
        "rate_limited": admin.token_of("slow", "devops", rate_limit={"requests": 1, "per": "hour"}),
        "quota_exceeded": admin.token_of("frugal", "devops", quota={"requests": 1, "refill": "month"}),
    }
    policy = {"name": "reader", "role_id": admin.roles()["devops"], "opa_policy": 'allow if input.request.method == "GET"'}
    made["policy_denied"] = admin.ask("POST", admin.below("policyApiToken"), policy)
    return {name: it["token"] for name, it in made.items()}


def started(binary: str, directory: Path, environment: dict[str, str]) -> tuple["subprocess.Popen[str]", Admin]:
    data = str(directory / "data")
    arguments = ["bootstrap", "--data-dir", data, "--organization", "Acme", "--owner-email", "owner@acme.example", "--json"]
    made = json.loads(subprocess.run([binary, *arguments], env=environment, check=True, capture_output=True, text=True).stdout)
    serve = [binary, "serve", "--data-dir", data, "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(serve, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    first = server.stdout.readline()
    if not first.startswith("Tokenward listens on "):
        raise SystemExit(f"the server does not start: {first}")
    return server, Admin(first.split()[3], made["organization_id"], made["token"])


def main(arguments: list[str]) -> int:
    binary, between, *command = arguments
    if between != "--" or not command:
        raise SystemExit(__doc__)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKENWARD_")}
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        server, admin = started(str(Path(binary).resolve()), directory, environment)
        try:
            admin.ask("PUT", admin.below("api/shop"), ROUTES, "application/toml")
            retired = admin.token_of("retired", "verifier")
            admin.ask("DELETE", admin.below(f"apiToken/{retired['id']}"))
            world = {
                "url": admin.url,
                "organization": admin.organization,
                "admin": admin.token,
                "binary": str(Path(binary).resolve()),
                "data_dir": str(directory / "data"),
                "credential": admin.token_of("service", "verifier")["token"],
                "revoked_credential": retired["token"],
                "weak_credential": admin.token_of("weak-service", "viewer")["token"],
                "tokens": tokens(admin),
                "bounded": bounded(admin),
                "vectors": vectors.table(admin.ask("GET", "/openapi.json"), forward_auth(admin)),
            }
            file = directory / "world.json"
            file.write_text(json.dumps(world, indent=1))
            return subprocess.run(command, env={**environment, "TOKENWARD_WORLD": str(file)}, check=False).returncode
        finally:
            server.terminate()
            server.wait()


def forward_auth(admin: Admin) -> vectors.Judge:
    """What the server itself makes of the headers of a request: the `code` of its refusal, or None."""

    def judge(headers: list[tuple[str, str]]) -> str | None:
        import http.client

        host = admin.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=30)
        path = f"/forward-auth?organization={admin.organization}&permission=invoices:read"
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status == 200:
            return None
        code: str = json.loads(body)["code"]
        return code

    return judge


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
