"""Middleware for ASGI: Starlette, FastAPI, and whatever else speaks it; and a dependency for routes of FastAPI.

What passes has ``request.state.tokenward``. The client's address is the server's: with uvicorn, set ``--proxy-headers`` and
``--forwarded-allow-ips`` where a proxy stands before it. WebSockets are asked about as well, before they are accepted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from ._async import AsyncTokenward
from .guard import Needs, Passed, Presented, Refusal, after, before, failed

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def presented(scope: Scope) -> Presented:
    """A request of ASGI, as a guard reads it."""

    def values(wanted: bytes) -> list[str]:
        return [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == wanted]

    agents, client = values(b"user-agent"), scope.get("client")
    # `raw_path` is what the client sent; `path` is decoded, and may mean another route.
    raw = scope.get("raw_path")
    path = raw.split(b"?")[0].decode("latin-1") if raw else scope["path"]
    return Presented(
        authorization=values(b"authorization"),
        api_key=values(b"x-api-key"),
        method=scope.get("method", "GET"),
        path=path,
        user_agent=agents[0] if agents else None,
        remote_ip=client[0] if client else None,
    )


async def check(client: AsyncTokenward, needs: Needs, scope: Scope) -> Passed | Refusal:
    """Whether a request may pass. Everything unexpected is a refusal."""
    try:
        question = before(needs, presented(scope))
        return question if isinstance(question, Refusal) else after(await client.ask(question))
    except Exception as error:
        return failed(error)


class RequireToken:
    """Middleware for a whole application: ``app.add_middleware(RequireToken, client=…, needs=Needs(api="shop"))``."""

    def __init__(self, app: App, *, client: AsyncTokenward, needs: Needs) -> None:
        self._app, self._client, self._needs = app, client, needs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        outcome = await check(self._client, self._needs, scope)
        if isinstance(outcome, Passed):
            scope.setdefault("state", {})["tokenward"] = outcome
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            # A close before the acceptance is a 403 of the handshake.
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in outcome.headers.items()]
            await send({"type": "http.response.start", "status": outcome.status, "headers": headers})
            await send({"type": "http.response.body", "body": outcome.content})


def require_token(client: AsyncTokenward, needs: Needs) -> Callable[..., Awaitable[Passed]]:
    """A dependency of FastAPI: ``def read(passed: Annotated[Passed, Depends(require_token(client, Needs(permission="a:b")))])``.

    FastAPI's own body of an error, ``{"detail": …}``, holds ours.
    """
    from fastapi import HTTPException, Request

    async def dependency(request: Request) -> Passed:
        outcome = await check(client, needs, request.scope)
        if isinstance(outcome, Refusal):
            headers = {name: value for name, value in outcome.headers.items() if name != "Content-Type"}
            raise HTTPException(outcome.status, outcome.body, headers)
        request.state.tokenward = outcome
        return outcome

    # FastAPI reads the annotation of the parameter when the route is made, and it names what is known only here.
    dependency.__annotations__["request"] = cast(Any, Request)
    return dependency
