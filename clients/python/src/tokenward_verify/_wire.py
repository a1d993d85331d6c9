"""What goes to a server and what comes back: pure functions of texts. Nothing here that is not understood is a yes."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from json.encoder import encode_basestring_ascii as _text_of
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote, urlsplit

#: Why a token is refused. A word of a later server is ``unrecognized``, and denied; ``Verdict.code`` has the word.
Reason = Literal[
    "malformed", "unknown", "revoked", "disabled", "not_yet_valid", "expired", "replaced", "brownout",
    "network_denied", "policy_denied", "path_ambiguous", "token_in_query", "api_unknown", "route_unknown", "permission_denied", "scope_denied",
    "rate_limited", "quota_exceeded", "throttled", "unrecognized",
]

#: Each reason of a server: is the token itself refused (401), may it only not do this (403) or not now (429), and what to tell people.
REASONS: dict[str, tuple[int, str]] = {
    "malformed": (401, "This is not a token: its form or its checksum is wrong. Was a part of it lost in copying?"),
    "unknown": (401, "No such token is known here."),
    "revoked": (401, "This token was revoked. Ask for a new one."),
    "disabled": (401, "This token is switched off."),
    "not_yet_valid": (401, "This token is not valid yet."),
    "expired": (401, "This token has expired. Ask for a new one."),
    "replaced": (401, "This token was rotated, and this is an earlier secret of it. Use the newest one."),
    "brownout": (401, "This token is about to be taken back, and is refused for some minutes to learn who uses it. Ask for a new one."),
    "network_denied": (
        403,
        "This token is accepted from some networks alone, and this request is from another one. Does your gateway say from "
        "which address a request comes?",
    ),
    "policy_denied": (
        403,
        "The policy of this token does not allow this request, or the question did not say which request it is about.",
    ),
    "path_ambiguous": (403, "The path of the request can be read in more than one way (`//`, `..`, `%2f` and the like)."),
    "token_in_query": (401, "A token stands in the query, where logs keep it. Send it in a header, and replace this one."),
    "api_unknown": (403, "There is no API of that name. Import its routes first."),
    "route_unknown": (403, "The request is on no route of the API, and what no route describes is denied."),
    "permission_denied": (403, "The role of this token does not allow this."),
    "scope_denied": (403, "This token is narrowed to a part of what its role may do, and this is not in it."),
    "rate_limited": (429, "This token is used faster than it may be. Try again later."),
    "quota_exceeded": (429, "The quota of this token is used up. Try again when it is filled again."),
}

#: Most bytes of a presented text that a server reads.
PRESENTED_BYTES = 65_536
#: Most questions in one batch.
BATCH = 1_000

#: Why there is no verdict. All of them are errors of the service that asks: log them, and answer its callers 503.
ErrorKind = Literal["unavailable", "credential", "question", "answer"]


class TokenwardError(Exception):
    """There is no verdict. The message names no secret.

    ``kind`` is ``unavailable`` (no server, too slow, or it says 503), ``credential`` (this service's own token is refused),
    ``question`` (it cannot be understood) or ``answer`` (what answered is no Tokenward).
    """

    def __init__(self, kind: ErrorKind, message: str, code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.kind: ErrorKind = kind
        #: The server's word for it, where it had one.
        self.code = code
        #: Seconds until another attempt makes sense, where the server said so.
        self.retry_after = retry_after


class Resource(TypedDict, total=False):
    """Ids of what a permission is asked about."""

    project_id: str
    environment_id: str
    cluster_id: str


@dataclass(frozen=True)
class Request:
    """The request that a token came with, its path as the client sent it."""

    method: str
    path: str
    #: Its body, for the policy of a policy token: ``""`` where it has none. None is not known, and then a policy that looks
    #: at it denies.
    body: str | None = None


_encode = json.JSONEncoder(separators=(",", ":")).encode
_CONCRETE = re.compile(r"[^:*\s]+:[^:*\s]+")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def _cannot_be_asked(what: str) -> TokenwardError:
    return TokenwardError("question", f"The question about a token cannot be asked: {what}.")


@dataclass(frozen=True)
class Question:
    """A question about a token. Without ``permission`` and ``api`` it is only: whose is it?"""

    token: str = field(repr=False)
    permission: str | None = None
    resource: Resource | None = None
    #: An API of the organization, whose routes say what ``request`` needs.
    api: str | None = None
    request: Request | None = None
    #: The address of the client that presented it.
    remote_ip: str | None = None
    user_agent: str | None = None
    #: A position that the answer must know of: ``Tokenward-Position`` of a change.
    at_least: str | None = None
    #: What is to be told of the token besides: ``labels``, ``metadata``.
    include: Sequence[str] | None = None

    def written(self) -> str:
        """What is sent, as JSON. Raises a ``TokenwardError`` where it cannot be asked."""
        permission, api, request = self.permission, self.api, self.request
        if permission is not None and not _CONCRETE.fullmatch(permission):
            raise _cannot_be_asked("`permission` must be one permission, such as invoices:read")
        if self.resource is not None and permission is None:
            raise _cannot_be_asked("`resource` needs a `permission` beside it")
        if api == "":
            raise _cannot_be_asked("`api` is empty")
        if api is not None and request is None:
            raise _cannot_be_asked("with `api`, say which `request` it is about")
        # Text by text: an encoder of a whole question takes several times as long.
        text = f'{{"token":{_text_of(self.token)}'
        if permission is not None:
            text += f',"permission":{_text_of(permission)}'
        if self.resource is not None:
            text += f',"resource":{_encode(dict(self.resource))}'
        if api is not None:
            text += f',"api":{_text_of(api)}'
        if request is not None:
            body = "" if request.body is None else f',"body":{_text_of(request.body)}'
            text += f',"request":{{"method":{_text_of(request.method)},"path":{_text_of(request.path)}{body}}}'
        if self.remote_ip is not None:
            text += f',"remote_ip":{_text_of(self.remote_ip)}'
        # Only remembered, so that a long one is cut and fails no question.
        if self.user_agent is not None:
            text += f',"user_agent":{_text_of(self.user_agent[:1_024])}'
        if self.at_least is not None:
            text += f',"at_least":{_text_of(self.at_least)}'
        if self.include is not None:
            text += f',"include":{_encode(list(self.include))}'
        return text + "}"

    @property
    def presentable(self) -> bool:
        """Can a header have carried this token? What none can have carried is malformed, and nobody is asked."""
        return presentable(self.token)


def presentable(token: str) -> bool:
    return len(token) <= PRESENTED_BYTES and _VISIBLE.fullmatch(token) is not None


@dataclass(frozen=True)
class Holder:
    """Whose token it is."""

    id: str
    name: str
    #: ``api_token``, or a word of a later server.
    kind: str
    organization_id: str
    role_id: str
    role_name: str
    #: None for one without an end, and for a revoked one.
    expires_at: datetime | None
    #: Where the question includes them and it has some.
    labels: dict[str, str] | None = None
    #: The same: what else is kept with it.
    metadata: dict[str, Any] | None = None


@dataclass(frozen=True)
class Verdict:
    """What was decided. An error is never one."""

    valid: bool
    #: ``valid``, or why not, in the server's word.
    code: str
    #: Why not; None for a yes.
    reason: Reason | None = None
    #: Whose token it is; None when that is not known.
    token: Holder | None = None
    #: What its role lacks; for `scope_denied` what its role has, and it is narrowed away from.
    missing_permission: str | None = None
    #: Under this id the server explains the answer for a while.
    decision_id: str | None = None
    #: The page that does; it takes a token with ``token:verify``.
    explain: str | None = None
    #: Seconds until another attempt makes sense, when ``reason`` is ``throttled``, ``rate_limited`` or ``quota_exceeded``.
    retry_after: int | None = None


MALFORMED = Verdict(valid=False, code="malformed", reason="malformed")


def read_base(text: str) -> str:
    """The server's address without a slash at its end."""

    def bad(why: str) -> TokenwardError:
        return TokenwardError("question", f"The address of the Tokenward server {why}.")

    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise bad("is none: write it as https://tokens.example.com") from None
    if url.scheme not in ("http", "https"):
        raise bad("must begin with http:// or https://")
    if not host:
        raise bad("is none: write it as https://tokens.example.com")
    if "@" in url.netloc:
        raise bad("must hold no user name and no password")
    if "?" in text or "#" in text:
        raise bad("must hold no query and no fragment")
    return f"{url.scheme}://{url.netloc}{url.path}".rstrip("/")


def _not_tokenward(status: int, what: str) -> TokenwardError:
    message = f"What answered (status {status}) is no Tokenward server: {what}. Is the address right, or does a proxy answer in its place?"
    return TokenwardError("answer", message)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


Frozen = TypeVar("Frozen", "Holder", "Verdict")


def _built(kind: type[Frozen], /, **fields: object) -> Frozen:
    """One of what is frozen, with all of its fields: its own constructor sets them one by one, in several times as long."""
    made = object.__new__(kind)
    made.__dict__.update(fields)
    return made


def _holder(value: object) -> Holder | None:
    if not isinstance(value, dict):
        return None
    get = value.get
    # One by one: a loop over their names takes several times as long.
    id, name, kind, organization, role, role_name = get("id"), get("name"), get("kind"), get("organization_id"), get("role_id"), get("role_name")
    if not (isinstance(id, str) and isinstance(name, str) and isinstance(kind, str)):
        return None
    if not (isinstance(organization, str) and isinstance(role, str) and isinstance(role_name, str)):
        return None
    end = get("expires_at")
    try:
        # Python 3.10 does not know `Z`.
        expires_at = None if end is None else datetime.fromisoformat(end.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return None
    labels, metadata = get("labels"), get("metadata")
    if not (labels is None or isinstance(labels, dict)) or not (metadata is None or isinstance(metadata, dict)):
        return None
    return _built(
        Holder,
        id=id, name=name, kind=kind, organization_id=organization, role_id=role, role_name=role_name, expires_at=expires_at,
        labels=labels, metadata=metadata,
    )


def read_verdict(value: object, base: str) -> Verdict:
    """One verdict out of a body."""
    if not isinstance(value, dict):
        raise _not_tokenward(200, "its body is no verdict")
    valid, code, token = value.get("valid"), value.get("code"), value.get("token")
    if not isinstance(valid, bool) or not isinstance(code, str) or valid != (code == "valid"):
        raise _not_tokenward(200, "its verdict contradicts itself")
    holder = _holder(token)
    if holder is None and (valid or token is not None):
        raise _not_tokenward(200, "its verdict does not say whose token it is")
    reason = None if valid else code if code in REASONS or code == "throttled" else "unrecognized"
    decision, wait = _text(value.get("decision_id")), value.get("retry_after")
    return _built(
        Verdict,
        valid=valid,
        code=code,
        reason=reason,
        token=holder,
        missing_permission=_text(value.get("missing_permission")),
        decision_id=decision,
        explain=None if decision is None else f"{base}/decision/{_quoted(decision)}",
        retry_after=wait if isinstance(wait, int) and not isinstance(wait, bool) and wait >= 0 else None,
    )


def _quoted(decision: str) -> str:
    """Which of a path is safe; a server's own ids always are."""
    return decision if decision.isascii() and decision.isalnum() else quote(decision, safe="")


def read_batch(value: object, base: str, expected: int) -> list[Verdict]:
    """The verdicts of a batch, in the order of its questions."""
    results = value.get("results") if isinstance(value, dict) else None
    if not isinstance(results, list) or len(results) != expected:
        raise _not_tokenward(200, "it did not answer each question of the batch")
    return [read_verdict(it, base) for it in results]


class Reply(NamedTuple):
    """An answer of HTTP."""

    status: int
    retry_after: str | None
    content: bytes


_decoder = json.JSONDecoder()


def _json(text: str) -> object:
    value: object
    if text.startswith("{"):
        value, end = _decoder.raw_decode(text)
        if end == len(text):
            return value
    # With spaces around it, or none.
    value = _decoder.decode(text)
    return value


def read_reply(reply: Reply) -> tuple[object, Verdict | None]:
    """The JSON of an answer, or the verdict that too much was guessed. What is an error of this service is raised."""
    status = reply.status
    try:
        value = _json(reply.content.decode())
    # A text that is nested too deep is no answer of ours either.
    except (ValueError, RecursionError):
        value = None
    if status == 200:
        if value is None:
            raise _not_tokenward(status, "its body is no JSON")
        return value, None
    body: dict[str, Any] = value if isinstance(value, dict) else {}
    code, detail, missing = (_text(body.get(name)) for name in ("code", "detail", "missing_permission"))
    told = detail or "It said no more."
    wait = int(reply.retry_after) if reply.retry_after and re.fullmatch(r"[0-9]{1,6}", reply.retry_after) else None
    if status == 429 and code == "throttled":
        return None, Verdict(valid=False, code=code, reason="throttled", retry_after=wait)
    if status == 401:
        raise TokenwardError("credential", f"The Tokenward server refuses this service's own credential: {told}", code, wait)
    if status == 403:
        lacks = f" It lacks `{missing}`." if missing else ""
        raise TokenwardError("credential", f"This service's own credential may not ask the Tokenward server: {told}{lacks}", code, wait)
    if code is not None and status in (400, 409, 413, 422):
        raise TokenwardError("question", f"The Tokenward server does not understand the question: {told}", code, wait)
    # A limit of this service's own credential.
    if status >= 500 or (status == 429 and code is not None):
        raise TokenwardError("unavailable", f"The Tokenward server cannot answer now (status {status}): {told}", code, wait)
    raise _not_tokenward(status, "its body is no error of ours" if code is None else f"it says {code}")
