"""What every framework's middleware does, without a framework: the one credential of a request, the question about it, and
the answer to who is refused."""

from __future__ import annotations

import json
import logging
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field

from ._wire import REASONS, Holder, Question, Request, Resource, TokenwardError, Verdict

_log = logging.getLogger("tokenward")

_NAMES = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests", 503: "Service Unavailable"}
_SEND = "Send an API token: `Authorization: Token <token>` (or `Bearer`, or Basic with the token as password), or `X-API-Key`."
_SEVERAL = "The request has more than one credential. Send one, in one header."


@dataclass(frozen=True)
class Needs:
    """What a request needs. Exactly one of them must be said.

    ``permission``: one permission, whatever the request is. ``api``: what the routes of this API of your organization say of
    its method and path. ``identity="any"``: nothing but a token of your organization, whatever its role.
    """

    permission: str | None = None
    api: str | None = None
    identity: str | None = None
    resource: Resource | None = None

    def __post_init__(self) -> None:
        if sum(it is not None for it in (self.permission, self.api, self.identity)) != 1:
            raise TokenwardError("question", 'Say exactly one of `permission`, `api` and `identity="any"`.')
        if self.identity not in (None, "any"):
            raise TokenwardError("question", '`identity` takes "any" and nothing else.')
        # A slip of the pen is told when the service starts, and not to its first caller.
        self.question("x", Presented((), (), "GET", "/")).written()

    def question(self, token: str, request: Presented) -> Question:
        return Question(
            token,
            permission=self.permission,
            resource=self.resource,
            api=self.api,
            request=Request(request.method, request.path),
            remote_ip=request.remote_ip or None,
            user_agent=request.user_agent or None,
        )


@dataclass(frozen=True)
class Presented:
    """A request, as a guard reads it."""

    # Not shown: a token stands in them.
    authorization: Sequence[str] = field(repr=False)
    api_key: Sequence[str] = field(repr=False)
    method: str
    #: As the client sent it.
    path: str
    user_agent: str | None = None
    remote_ip: str | None = None


@dataclass(frozen=True)
class Passed:
    """The token of a request that may pass."""

    token: Holder
    verdict: Verdict


@dataclass(frozen=True)
class Refusal:
    """An answer to who is refused."""

    status: int
    headers: dict[str, str]
    body: dict[str, object]

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode()


def _refusal(status: int, code: str, detail: str, more: dict[str, object] | None = None, headers: dict[str, str] | None = None) -> Refusal:
    body: dict[str, object] = {"status": status, "error": _NAMES[status], "detail": detail, "message": detail, "code": code}
    return Refusal(status, {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}, body | (more or {}))


def _challenge(code: str) -> dict[str, str]:
    # RFC 6750 §3: no error word when there was no credential at all.
    error = "" if code == "missing_credentials" else ', error="invalid_token"'
    return {"WWW-Authenticate": f'Bearer realm="tokenward"{error}'}


@dataclass(frozen=True)
class NoCredential:
    """Why a request has no credential: ``missing_credentials`` or ``ambiguous_credentials``."""

    code: str


def credential_of(authorization: Sequence[str], api_key: Sequence[str]) -> str | NoCredential:
    """The one credential among the headers in which one may stand."""
    sent = [*authorization, *api_key]
    if not sent:
        return NoCredential("missing_credentials")
    # Some servers join headers of one name with a comma, which stands in no credential.
    if len(sent) > 1 or "," in sent[0]:
        return NoCredential("ambiguous_credentials")
    if not authorization:
        return sent[0].strip()
    scheme, space, rest = sent[0].strip().partition(" ")
    if space and scheme.lower() in ("token", "bearer"):
        return rest.strip()
    if space and scheme.lower() == "basic":
        try:
            # RFC 7617 §2: a colon in the password belongs to it.
            _, colon, password = b64decode(rest.strip(), validate=True).decode().partition(":")
        # No Base64, no UTF-8, or letters that no Base64 has.
        except ValueError:
            return NoCredential("missing_credentials")
        if colon:
            return password
    return NoCredential("missing_credentials")


def refusal_of(verdict: Verdict) -> Refusal:
    """What to answer where a verdict is a no."""
    code, reason = verdict.code, verdict.reason
    more: dict[str, object] = {"reason": code}
    if verdict.missing_permission is not None:
        more["missing_permission"] = verdict.missing_permission
    if verdict.decision_id is not None:
        more["decision_id"] = verdict.decision_id
    if reason == "throttled":
        wait = {} if verdict.retry_after is None else {"Retry-After": str(verdict.retry_after)}
        return _refusal(429, code, "Too many unknown tokens came from your address. Try again later.", more, wait)
    if reason is None or reason == "unrecognized":
        return _refusal(403, code, "The token is refused for a reason that this service does not know.", more)
    status, sentence = REASONS[reason]
    if status == 401:
        return _refusal(401, code, sentence, more, _challenge(code))
    if status == 429:
        wait = {} if verdict.retry_after is None else {"Retry-After": str(verdict.retry_after)}
        return _refusal(429, code, sentence, more, wait)
    if verdict.missing_permission is not None:
        narrowed = reason == "scope_denied"
        why = ". Your role has it, but this token is narrowed to less." if narrowed else ", which your role does not have."
        sentence = f"This needs the permission `{verdict.missing_permission}`{why}"
    return _refusal(403, code, sentence, more)


def before(needs: Needs, request: Presented) -> Question | Refusal:
    """The question about a request, or the refusal of one that has no credential."""
    found = credential_of(request.authorization, request.api_key)
    if isinstance(found, NoCredential):
        detail = _SEND if found.code == "missing_credentials" else _SEVERAL
        return _refusal(401, found.code, detail, headers=_challenge(found.code))
    return needs.question(found, request)


def after(verdict: Verdict) -> Passed | Refusal:
    """Whether a request may pass."""
    if verdict.valid and verdict.token is not None:
        return Passed(verdict.token, verdict)
    return refusal_of(verdict)


def failed(error: Exception) -> Refusal:
    """The answer where there is no verdict. What is wrong between a service and its server is no business of its callers."""
    # Without the `repr` of what others raise: that of a UnicodeError has the whole text in it.
    told = error if isinstance(error, TokenwardError) else f"The token could not be checked: {type(error).__name__}: {error}"
    _log.error("%s", told)
    wait = error.retry_after if isinstance(error, TokenwardError) and error.kind == "unavailable" else None
    return _refusal(503, "unavailable", "Tokens cannot be checked right now. Try again.", headers={"Retry-After": str(wait or 1)})
