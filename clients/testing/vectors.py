"""The table that every client runs: what it is asked, what it must send; what it is answered, what it must say.

It is made anew for each run, from the OpenAPI document of a real server. What a server gains (a reason, a field of a
question, a status of an error) is in the table at once, and a client that does not know it fails.
"""

import base64
import uuid
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
# What a server says of the headers of a request: the code of its refusal, or None where it passes.
Judge = Callable[[list[tuple[str, str]]], str | None]

NO_CREDENTIAL = 'Bearer realm="tokenward"'
BAD_CREDENTIAL = 'Bearer realm="tokenward", error="invalid_token"'
TOKEN = "twd_example"
DECISION = "92f458e11bf83bbe916ed8c7858c3a78657efa7b"


def table(document: Row, judge: Judge) -> Row:
    schemas = document["components"]["schemas"]
    return {
        "reasons": schemas["DecisionCode"]["x-reasons"],
        "presented_bytes": schemas["VerifyRequest"]["properties"]["token"]["maxLength"],
        "batch": schemas["BatchRequest"]["properties"]["tokens"]["maxItems"],
        "urls": urls(),
        "questions": questions(schemas),
        "answers": verdicts(schemas) + errors(document) + strangers(),
        "credentials": credentials(judge),
        "wire": wire(),
    }


def urls() -> list[Row]:
    """An address as somebody writes it, and where `/verify` is then."""
    fine = {
        "http://127.0.0.1:8080": "http://127.0.0.1:8080",
        "https://tokens.acme.example/": "https://tokens.acme.example",
        "https://acme.example/tokens": "https://acme.example/tokens",
        "https://acme.example/tokens//": "https://acme.example/tokens",
        "http://[::1]:8080/": "http://[::1]:8080",
    }
    refused = [
        "", "acme.example", "127.0.0.1:8080", "/tokens", "ftp://acme.example", "unix:///run/x", "http://",
        "https://user@acme.example", "https://user:secret@acme.example", "https://acme.example?x=1", "https://acme.example/#x",
    ]
    return [{"url": url, "base": base} for url, base in fine.items()] + [{"url": url, "refused": True} for url in refused]


def sample(name: str, schema: Row, schemas: Row) -> Any:
    """A value for a field, by its schema; each field has another one."""
    for choice in schema.get("oneOf", []):
        if "$ref" in choice:
            inner = schemas[choice["$ref"].rsplit("/", 1)[1]]["properties"]
            return {field: sample(field, it, schemas) for field, it in inner.items()}
    by_name: dict[str, Any] = {
        "token": TOKEN, "permission": "invoices:read", "remote_ip": "192.0.2.7", "user_agent": "curl/8 \"ü\"",
        "api": "shop", "method": "GET", "path": "/invoices/7", "body": "{\"total\": \"ü\"}", "at_least": "b0b4f1c2/17",
        "name": "ci \"deploys\" ü", "kind": "api_token", "role_name": "devops", "expires_at": "2027-02-23T02:00:24.054712Z",
        "include": ["labels", "metadata"], "labels": {"team": "shop \"ü\""}, "metadata": {"plan": "gold", "seats": [7]},
    }
    if schema.get("format") == "uuid":
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
    if name not in by_name:
        raise SystemExit(f"the server has the new field `{name}`: say in vectors.py what stands in it, and teach the clients")
    return by_name[name]


def questions(schemas: Row) -> list[Row]:
    """What is asked, by the names of the API, and the body that must go to the server."""
    fields = {name: sample(name, schema, schemas) for name, schema in schemas["VerifyRequest"]["properties"].items()}
    alone: list[Row] = [{"token": TOKEN}]
    for name, value in fields.items():
        if name == "api":
            alone.append({"token": TOKEN, "api": value, "request": fields["request"]})
        elif name == "resource":
            alone += [{"token": TOKEN, "permission": fields["permission"], "resource": {k: v}} for k, v in value.items()]
        elif name != "token":
            alone.append({"token": TOKEN, name: value})
    everything = {**fields, "resource": {"project_id": fields["resource"]["project_id"]}}
    asked = [{"ask": ask, "body": ask} for ask in [*alone, everything]]
    # What a slip of the pen would make of a question is an error of the service, and never a question with less in it.
    refused: list[Row] = [
        {"token": TOKEN, "permission": ""},
        {"token": TOKEN, "permission": "*"},
        {"token": TOKEN, "permission": "invoices:*"},
        *({"token": TOKEN, "permission": it} for it in ["invoices", ":read", "invoices:", "invoices:read:all", "in voices:read"]),
        {"token": TOKEN, "api": ""},
        {"token": TOKEN, "api": "shop"},
        {"token": TOKEN, "resource": {"project_id": fields["resource"]["project_id"]}},
    ]
    # What nobody can have been given is known without asking. A service must not fail for it.
    malformed = ["", " ", "twd_a\nb", "twd_a\r\nX: y", "twd_a\u0000", "twd_ü", "a b", "x" * 65_537]
    return [
        *asked,
        *({"ask": ask, "refused": True} for ask in refused),
        *({"ask": {"token": token}, "malformed": True} for token in malformed),
    ]


# What is refused now, and may be allowed later.
LIMITS = ("rate_limited", "quota_exceeded")
# What is refused for want of a permission, and how it is told behind the permission's name.
LACKING = {
    "permission_denied": ", which your role does not have.",
    "scope_denied": ". Your role has it, but this token is narrowed to less.",
}


def verdicts(schemas: Row) -> list[Row]:
    answer = schemas["Verification"]["properties"]
    holder = {name: sample(name, schema, schemas) for name, schema in schemas["VerifiedToken"]["properties"].items()}
    known = {"valid", "code", "token", "missing_permission", "retry_after", "decision_id"}
    if set(answer) != known:
        raise SystemExit(f"an answer has the new fields {set(answer) - known}: teach the clients")

    def says(**body: Any) -> Row:
        return {"status": 200, "json": {"decision_id": DECISION, **body}}

    def verdict(valid: bool, code: str, **more: Any) -> Row:
        return {"valid": valid, "code": code, "reason": None if valid else code, "decision_id": DECISION, **more}

    rows: list[Row] = [
        {"name": "valid", **says(valid=True, code="valid", token=holder),
         "verdict": verdict(True, "valid", token=holder), "respond": {"status": 200}},
        {"name": "valid without an end", **says(valid=True, code="valid", token={**holder, "expires_at": None}),
         "verdict": verdict(True, "valid", token={**holder, "expires_at": None}), "respond": {"status": 200}},
        {"name": "a field of a later version", **says(valid=True, code="valid", token={**holder, "mood": "good"}, more={"a": 1}),
         "verdict": verdict(True, "valid", token=holder), "respond": {"status": 200}},
        {"name": "a reason of a later version", **says(valid=False, code="moon_phase", token=holder),
         "verdict": {**verdict(False, "moon_phase", token=holder), "reason": "unrecognized"},
         "respond": {"status": 403, "code": "moon_phase"}},
        {"name": "throttled in an answer", "status": 200, "json": {"valid": False, "code": "throttled"},
         "verdict": {"valid": False, "code": "throttled", "reason": "throttled"}, "respond": {"status": 429, "code": "throttled"}},
    ]
    for reason in schemas["DecisionCode"]["x-reasons"]:
        code = reason["code"]
        body: Row = {"valid": False, "code": code}
        # Of what has ended no more is told than that.
        if code not in ("malformed", "unknown", "revoked", "expired", "replaced"):
            body["token"] = holder
        if code in LACKING:
            body["missing_permission"] = "invoices:write"
        if code in LIMITS:
            body["retry_after"] = 7
        more = {k: body[k] for k in ("token", "missing_permission", "retry_after") if k in body}
        respond: Row = {"status": 403, "code": code, "detail": reason["sentence"]}
        if code in LIMITS:
            respond |= {"status": 429, "retry_after": 7}
        if reason["refuses_credential"]:
            respond |= {"status": 401, "www_authenticate": BAD_CREDENTIAL}
        if code in LACKING:
            respond |= {"missing_permission": "invoices:write", "detail": f"This needs the permission `invoices:write`{LACKING[code]}"}
        rows.append({"name": code, **says(**body), "verdict": verdict(False, code, **more), "respond": respond})
    return rows


# Whose fault each status is that `/verify` may answer with. `throttled` is a verdict about who presented the token; every
# other one is an error of the service that asks, and must never become a 401 or 403 of its callers.
ERRORS: dict[str, tuple[str, str | None]] = {
    "400": ("invalid_request", "question"),
    "401": ("revoked", "credential"),
    "403": ("permission_denied", "credential"),
    "404": ("unknown_path", "answer"),
    "409": ("other_log", "question"),
    "413": ("too_large", "question"),
    "429": ("throttled", None),
    "503": ("unavailable", "unavailable"),
}


def errors(document: Row) -> list[Row]:
    rows: list[Row] = []
    for status in document["paths"]["/verify"]["post"]["responses"]:
        if status == "200":
            continue
        if status not in ERRORS:
            raise SystemExit(f"`/verify` may answer {status} now: say in vectors.py what it means, and teach the clients")
        code, kind = ERRORS[status]
        body: Row = {"status": int(status), "error": "Error", "detail": "What to do.", "message": "What to do.", "code": code}
        if code == "permission_denied":
            body["missing_permission"] = "token:verify"
        row: Row = {"name": f"error {status}", "status": int(status), "headers": {"Retry-After": "7"}, "json": body}
        if kind is None:
            row |= {"verdict": {"valid": False, "code": code, "reason": code, "retry_after": 7},
                    "respond": {"status": 429, "code": code, "retry_after": 7}}
        else:
            row |= {"error": kind, "respond": {"status": 503, "code": "unavailable"}}
            if kind == "unavailable":
                row["respond"]["retry_after"] = 7
        rows.append(row)
    return rows


def strangers() -> list[Row]:
    """What answers in the place of a server. None of it is ever a yes."""
    page = "<!doctype html><title>Welcome</title>"
    texts: list[tuple[str, int, str]] = [
        ("a page with 200", 200, page),
        ("a page with 404", 404, page),
        ("a page with 502", 502, page),
        ("a page with 503", 503, page),
        ("a page with 401", 401, page),
        ("nothing", 200, ""),
        ("no content", 204, ""),
        ("half an answer", 200, '{"valid":true,"code":"val'),
        ("two answers", 200, '{"valid":true,"code":"valid"}{"valid":true,"code":"valid"}'),
        ("a list", 200, "[true]"),
        ("true", 200, "true"),
        ("null", 200, "null"),
        ("a yes as text", 200, '{"valid":"true","code":"valid"}'),
        ("a yes as number", 200, '{"valid":1,"code":"valid"}'),
        ("a yes without a code", 200, '{"valid":true}'),
        ("a yes without a token", 200, '{"valid":true,"code":"valid"}'),
        ("a yes with a reason", 200, '{"valid":true,"code":"revoked","token":{"id":"x"}}'),
        ("a yes with half a token", 200, '{"valid":true,"code":"valid","token":{"id":"x"}}'),
        ("a no that says valid", 200, '{"valid":false,"code":"valid"}'),
        ("a no with a number", 200, '{"valid":false,"code":7}'),
        ("a yes that was created", 201, '{"valid":true,"code":"valid"}'),
        ("no UTF-8", 200, '{"valid":false,"code":"\udcff"}'),
        ("deep", 200, "[" * 20_000),
    ]
    rows: list[Row] = []
    for name, status, text in texts:
        kind = "credential" if status == 401 else "unavailable" if status in (502, 503) else "answer"
        content = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        rows.append({"name": name, "status": status, "base64": content, "error": kind, "respond": {"status": 503, "code": "unavailable"}})
    huge = {"name": "5 MB", "status": 200, "bytes": 5_000_000, "error": "answer", "respond": {"status": 503, "code": "unavailable"}}
    away = {"name": "a redirect", "status": 307, "headers": {"Location": "https://elsewhere.example/verify"}, "base64": "",
            "error": "answer", "respond": {"status": 503, "code": "unavailable"}}
    return [*rows, huge, away]


def wire() -> list[Row]:
    """Answers as they go over the connection, byte by byte. Some end with it; after the others it stays open, and a client must not
    wait for more."""
    yes = b'{"valid":true,"code":"valid","token":{"id":"i","name":"n","kind":"api_token","organization_id":"o","role_id":"r","role_name":"devops"}}'
    ok, chunked = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with_length = b"%sContent-Length: %d\r\n\r\n%s" % (ok, len(yes), yes)
    in_chunks = b"%s5;a=b\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (chunked, yes[:5], len(yes) - 5, yes[5:])
    long = b"x" * 20_000
    # By name: the bytes, whether the connection ends behind them, and the kind of the error, or nothing for a yes.
    rows: list[tuple[str, bytes, bool, str | None]] = [
        ("a yes", with_length, False, None),
        ("a yes in chunks", in_chunks, False, None),
        ("a yes in chunks with a field behind it", in_chunks[:-2] + b"X: y\r\n\r\n", False, None),
        ("a yes behind what comes before an answer", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + with_length, False, None),
        ("a yes behind a field that ends like another one", with_length.replace(ok, ok + b"X-Content-Length: 2\r\n"), False, None),
        ("a yes whose length is said twice", with_length.replace(b"\r\n\r\n", b"\r\ncontent-LENGTH:%d \r\n\r\n" % len(yes)), False, None),
        ("a yes that ends with its connection", b"%sConnection: close\r\n\r\n%s" % (ok, yes), True, None),
        ("a yes of HTTP/1.0", with_length.replace(b"/1.1", b"/1.0"), True, None),
        ("nothing", b"", True, "unavailable"),
        ("half a head", with_length[:30], True, "unavailable"),
        ("a head alone", with_length[: -len(yes)], True, "unavailable"),
        ("half a body", with_length[:-50], True, "unavailable"),
        ("half a chunk", in_chunks[:-30], True, "unavailable"),
        ("no last chunk", in_chunks[:-5], True, "unavailable"),
        ("another protocol", b"SSH-2.0-OpenSSH_9\r\n\r\n", False, "answer"),
        ("a status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", False, "answer"),
        ("a field without a colon", ok + b"no colon\r\n\r\n", False, "answer"),
        ("a field with a space in its name", ok + b"Content-Length : 2\r\n\r\n{}", False, "answer"),
        ("a length below nothing", ok + b"Content-Length: -2\r\n\r\n{}", False, "answer"),
        ("two lengths", ok + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", False, "answer"),
        ("a coding that nobody asked for", ok + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", False, "answer"),
        ("a coding in two lines", in_chunks.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n", 1), False, "answer"),
        ("a chunk without a length", chunked + b"x\r\n", False, "answer"),
        ("a chunk that is longer than it says", chunked + b"1\r\n{}}\r\n0\r\n\r\n", False, "answer"),
        ("a length of 5 MB", ok + b"Content-Length: 5000000\r\n\r\n" + long, False, "answer"),
        ("too much in chunks", chunked + b"4c4b40\r\n" + long, False, "answer"),
        ("too much without a length", ok + b"\r\n" + long, False, "answer"),
        ("a head without an end", ok + b"X: " + b"x" * 120_000, False, "answer"),
    ]
    return [
        {"name": name, "base64": base64.b64encode(sent).decode(), "closes": closes} | ({"error": kind} if kind else {})
        for name, sent, closes, kind in rows
    ]


def credentials(judge: Judge) -> list[Row]:
    """Where a token may stand. The server is asked the same, so that clients and gateways read a request alike."""
    basic = base64.b64encode(b"u:abc").decode()
    colon = base64.b64encode(b"u:a:b").decode()
    rows: list[tuple[list[tuple[str, str]], str]] = [
        ([("Authorization", "Token abc")], "abc"),
        ([("Authorization", "Bearer abc")], "abc"),
        ([("authorization", "bearer  abc")], "abc"),
        ([("Authorization", "TOKEN abc")], "abc"),
        ([("Authorization", f"Basic {basic}")], "abc"),
        ([("Authorization", f"basic {colon}")], "a:b"),
        ([("X-API-Key", "abc")], "abc"),
        ([], ""),
        ([("Authorization", "abc")], ""),
        ([("Authorization", "Digest abc")], ""),
        ([("Authorization", "Basic ?")], ""),
        ([("Authorization", "Basic YWJj")], ""),
        ([("Authorization", "Basic /w==")], ""),
        ([("Authorization", "Basic")], ""),
        ([("Authorization", "Token a"), ("X-API-Key", "a")], "several"),
        ([("Authorization", "Token a,Token b")], "several"),
        ([("X-API-Key", "a, b")], "several"),
        ([("Authorization", "Digest a"), ("X-API-Key", "a")], "several"),
    ]
    table: list[Row] = []
    for headers, found in rows:
        code = {"": "missing_credentials", "several": "ambiguous_credentials"}.get(found)
        said = judge(headers)
        if said != (code or "malformed"):
            raise SystemExit(f"the server reads {headers} as {said}, not as {code or 'a token'}")
        row: Row = {"headers": headers}
        if code is None:
            row["token"] = found
        else:
            row |= {"code": code, "www_authenticate": NO_CREDENTIAL if code == "missing_credentials" else BAD_CREDENTIAL}
        table.append(row)
    return table
