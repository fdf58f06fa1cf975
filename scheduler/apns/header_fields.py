"""A request's headers as the express path wants them: shapes that are shared, literals that are not."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from scheduler.apns.request import MAX_TOKEN_DIGITS, HeaderSet, PushRequest, check_collapse_id
from scheduler.domain.errors import Bug
from scheduler.http2.header_encoder import BlockShape, SharedField, integer, string_literal

_PATH: Final = b"/3/device/"
_PATH_HEADS: Final = [integer(len(_PATH) + digits, 7, 0) + _PATH for digits in range(MAX_TOKEN_DIGITS + 1)]
_UUID_LENGTH: Final = 36
_UUID_HEAD: Final = integer(_UUID_LENGTH, 7, 0)
_NAMES: Final = (
    (b"apns-id",),
    (b"apns-id", b"apns-expiration"),
    (b"apns-id", b"apns-collapse-id"),
    (b"apns-id", b"apns-expiration", b"apns-collapse-id"),
)


def shape_number(request: PushRequest) -> int:
    """Which of the four shapes of its header set a request has: with an expiration 1, with a collapse id 2."""
    return (request.expiration is not None) + 2 * (request.collapse_id is not None)


class Shapes:
    """The block shapes of one link, made once for each header set as long as the provider token holds."""

    def __init__(self, authority: str, *, index_authorization: bool) -> None:
        self._authority = SharedField(b":authority", authority.encode("ascii"))
        self._index_authorization = index_authorization
        self._token: str | None = None
        self._tokens = 0
        self._known: dict[HeaderSet, tuple[BlockShape, ...]] = {}

    @property
    def only_token(self) -> str | None:
        """The provider token, if all requests of the link had the same one."""
        return self._token if self._tokens == 1 else None

    def of(self, headers: HeaderSet, provider_token: str | None) -> tuple[BlockShape, ...]:
        """The four shapes, by `shape_number`. A new provider token makes all of them anew; None: none is needed."""
        if provider_token != self._token:
            self._token = provider_token
            self._tokens += 1
            self._known.clear()
        shapes = self._known.get(headers)
        if shapes is None:
            fields = (
                *self._authorization(),
                SharedField(b"apns-topic", headers.topic.encode("ascii")),
                SharedField(b"apns-push-type", headers.push_type.encode("ascii")),
                SharedField(b"apns-priority", b"%d" % headers.priority),
            )
            shapes = tuple(BlockShape(self._authority, fields, names) for names in _NAMES)
            self._known[headers] = shapes
        return shapes

    def _authorization(self) -> tuple[SharedField, ...]:
        if self._token is None:
            return ()
        bearer = f"bearer {self._token}".encode("ascii")
        return (SharedField(b"authorization", bearer, indexed=self._index_authorization),)


def literals(request: PushRequest) -> tuple[bytes, ...]:
    """The values that differ: path, apns-id, expiration, collapse id. Bug for one that the door should have refused."""
    token = request.token
    apns_id = request.apns_id
    if not token.isalnum() or len(apns_id) != _UUID_LENGTH or not apns_id.isprintable():
        raise Bug(f"device {request.device}: token or apns-id was not checked at the door")
    try:
        path = _PATH_HEADS[len(token)] + token.encode("ascii")
        own_id = _UUID_HEAD + apns_id.encode("ascii")
    except (IndexError, UnicodeEncodeError) as error:
        raise Bug(f"device {request.device}: token or apns-id was not checked at the door") from error
    if request.expiration is None:
        if request.collapse_id is None:
            return path, own_id
        return path, own_id, _collapse(request.collapse_id)
    if request.collapse_id is None:
        return path, own_id, _expiration(request.expiration)
    return path, own_id, _expiration(request.expiration), _collapse(request.collapse_id)


# Nearly all requests of a run share these two.
@lru_cache(maxsize=1024)
def _expiration(seconds: int) -> bytes:
    if seconds < 0:
        raise Bug(f"expiration {seconds} is before 1970")
    return string_literal(b"%d" % seconds)


@lru_cache(maxsize=4096)
def _collapse(text: str) -> bytes:
    try:
        return string_literal(check_collapse_id(text).encode())
    except ValueError as error:
        raise Bug(f"collapse id was not checked at the door: {error}") from error
