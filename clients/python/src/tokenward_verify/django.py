"""Middleware for Django, sync and async. What passes has ``request.tokenward``.

In ``settings.py``: ``TOKENWARD = {"url": …, "credential": …, "api": "shop"}`` (or ``permission``, or ``identity``), and
``"tokenward_verify.django.RequireToken"`` in ``MIDDLEWARE``. For a single view there is ``require_token``. The client's
address is ``REMOTE_ADDR``: let nothing but your own proxy write it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from threading import Lock
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.utils.decorators import sync_and_async_middleware

from ._async import AsyncTokenward
from ._sync import Tokenward
from ._wire import TokenwardError
from .guard import Needs, Passed, Presented, Refusal, after, before, failed

View = Callable[..., Any]
_NEEDS = ("permission", "api", "identity", "resource")
_lock = Lock()
_clients: dict[type, Any] = {}


def _settings() -> dict[str, Any]:
    given = getattr(settings, "TOKENWARD", None)
    if not isinstance(given, dict):
        raise TokenwardError("question", "Django's settings have no `TOKENWARD`: a dictionary with `url`, `credential` and `api`.")
    return given


def _client(kind: Callable[..., Any]) -> Any:
    """The one client of this process, of each kind."""
    with _lock:
        key = AsyncTokenward if kind is AsyncTokenward else Tokenward
        if key not in _clients:
            _clients[key] = kind(**{name: value for name, value in _settings().items() if name not in _NEEDS})
        return _clients[key]


def presented(request: Any) -> Presented:
    """A request of Django, as a guard reads it."""
    meta = request.META

    def values(name: str) -> list[str]:
        return [meta[name]] if name in meta else []

    return Presented(
        authorization=values("HTTP_AUTHORIZATION"),
        api_key=values("HTTP_X_API_KEY"),
        method=request.method or "GET",
        path=_path(request),
        user_agent=meta.get("HTTP_USER_AGENT"),
        remote_ip=meta.get("REMOTE_ADDR"),
    )


def _path(request: Any) -> str:
    """The path as the client sent it, where the server says it; Django's own is decoded, and is escaped again."""
    raw = request.META.get("RAW_URI") or request.META.get("REQUEST_URI")
    if not raw:
        scope = getattr(request, "scope", None)
        raw_path = scope.get("raw_path") if scope else None
        raw = raw_path.decode("latin-1") if raw_path else request.get_full_path()
    path: str = raw.split("?")[0]
    return path


def _response(refusal: Refusal) -> HttpResponse:
    return HttpResponse(refusal.content, status=refusal.status, headers=refusal.headers)


def _check(request: Any, needs: Needs) -> Passed | Refusal:
    try:
        question = before(needs, presented(request))
        return question if isinstance(question, Refusal) else after(_client(Tokenward).ask(question))
    except Exception as error:
        return failed(error)


async def _acheck(request: Any, needs: Needs) -> Passed | Refusal:
    try:
        question = before(needs, presented(request))
        return question if isinstance(question, Refusal) else after(await _client(AsyncTokenward).ask(question))
    except Exception as error:
        return failed(error)


def _around(call: View, needs: Needs) -> View:
    if iscoroutinefunction(call):

        @wraps(call)
        async def asynchronous(request: Any, *args: Any, **more: Any) -> Any:
            outcome = await _acheck(request, needs)
            if isinstance(outcome, Refusal):
                return _response(outcome)
            request.tokenward = outcome
            return await call(request, *args, **more)

        return asynchronous

    @wraps(call)
    def synchronous(request: Any, *args: Any, **more: Any) -> Any:
        outcome = _check(request, needs)
        if isinstance(outcome, Refusal):
            return _response(outcome)
        request.tokenward = outcome
        return call(request, *args, **more)

    return synchronous


@sync_and_async_middleware  # type: ignore[untyped-decorator]
def RequireToken(get_response: View) -> View:  # noqa: N802 - Django names middleware like classes
    """Middleware for all views; what is needed stands in the settings."""
    return _around(get_response, Needs(**{name: value for name, value in _settings().items() if name in _NEEDS}))


def require_token(permission: str | None = None, *, api: str | None = None, identity: str | None = None) -> Callable[[View], View]:
    """A decorator for one view, sync or async: ``@require_token("invoices:read")``."""
    needs = Needs(permission=permission, api=api, identity=identity)
    return lambda view: _around(view, needs)
