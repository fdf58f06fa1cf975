"""Reading requests: who sends them, and bodies of bounded size."""

from __future__ import annotations

from contextlib import aclosing

import trio
from starlette.requests import ClientDisconnect, Request

from scheduler.api.intake import Intake
from scheduler.api.problems import Problem
from scheduler.store.api_keys import Scope

BODY_SECONDS = 30
"""How long a body may take to arrive: a sender that stalls must not hold its place for ever."""

JSON_TYPES = ("", "application/json")


def intake_of(request: Request) -> Intake:
    intake: Intake = request.app.state.intake
    return intake


async def require(request: Request, scope: Scope) -> None:
    """End the request unless its bearer key has the scope (RFC 6750)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Problem(
            401,
            "a key is needed: send 'Authorization: Bearer KEY'; 'clarion keys create' makes one",
            headers={"WWW-Authenticate": "Bearer"},
        )
    scopes = await intake_of(request).authenticate(key.strip())
    if scopes is None:
        raise Problem(
            401, "this key is unknown or revoked", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
        )
    if scope not in scopes and Scope.ADMIN not in scopes:
        raise Problem(
            403,
            f"this key lacks the scope {scope}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        )


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when none was sent."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, limit: int, types: tuple[str, ...]) -> bytes:
    """The body, of at most `limit` bytes and one of these content types (an empty word: none was sent)."""
    kind = media_type(request)
    if kind not in types:
        accepted = ", ".join(filter(None, types))
        raise Problem(415, f"{kind or 'no content type'} is not understood here; send {accepted}")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Problem(415, "a compressed body is not understood; send it as it is")
    too_large = Problem(413, f"the body is larger than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit):
        raise too_large
    body = bytearray()
    with trio.move_on_after(BODY_SECONDS) as patience:
        try:
            async with aclosing(request.stream()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        raise too_large
        except ClientDisconnect:
            raise Problem(400, "the connection was closed before the body was there") from None
    if patience.cancelled_caught:
        raise Problem(408, f"the body was not there after {BODY_SECONDS} seconds")
    return bytes(body)
