"""Broadcasts to Live Activities: the channels of apps, and the answers to requests that manage them or send on them.

Sources: Apple, "Sending channel management requests to APNs", "Sending broadcast push notification requests to APNs"
and "Handling error responses from Apple Push Notification service". Apple has several hosts for this; here everything
is on one port. The checks are in this order: path, method, authentication, app, headers, channel, payload.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

import msgspec

from scheduler.domain.json_values import Json, JsonObject
from scheduler.simulator.checks import Credentials, Request, is_message_id, is_seconds
from scheduler.simulator.reasons import ACCEPTED, Answer, Reason

CHANNEL_LIMIT = 10_000
"""Channels that an app may have."""
PAYLOAD_LIMIT = 5120
CHANNEL_ID_LIMIT = 256
"""Characters of a channel id. Apple speaks of an "allowed length" and names none."""

_PUSH_TYPE = "liveactivity"
_TOPIC_SUFFIX = ".push-type.liveactivity"
_PRIORITIES = (b"1", b"5", b"10")


class StoragePolicy(IntEnum):
    """What Apple keeps of a channel for devices that are offline; it never changes."""

    NOTHING = 0
    MOST_RECENT = 1


class Channels:
    """The channels of each app, in the order of their creation. An id is never given out again."""

    def __init__(self) -> None:
        self._channels: dict[str, dict[str, StoragePolicy]] = {}
        self._created: dict[str, int] = {}

    def create(self, bundle_id: str, policy: StoragePolicy) -> str | None:
        """The id of a new channel, made from app and count; None if the app has all that it may have."""
        channels = self._channels.setdefault(bundle_id, {})
        if len(channels) >= CHANNEL_LIMIT:
            return None
        number = self._created[bundle_id] = self._created.get(bundle_id, 0) + 1
        channel_id = base64.b64encode(hashlib.sha256(f"{bundle_id}/{number}".encode()).digest()[:16]).decode()
        channels[channel_id] = policy
        return channel_id

    def policy(self, bundle_id: str, channel_id: str) -> StoragePolicy | None:
        """What is kept of this channel; None if the app has no such channel."""
        return self._channels.get(bundle_id, {}).get(channel_id)

    def delete(self, bundle_id: str, channel_id: str) -> None:
        """KeyError if the app has no such channel."""
        del self._channels[bundle_id][channel_id]

    def ids(self, bundle_id: str) -> list[str]:
        return list(self._channels.get(bundle_id, ()))


def judge_broadcast(channels: Channels, request: Request, credentials: Credentials, now: float) -> Answer:
    """Apple's answer to a request for `request.broadcast`, at `now` (seconds since 1970); `channels` change with it."""
    bundle_id, operations = _route(request.fields[b":path"])
    if bundle_id is None:
        return Answer(Reason.BAD_PATH)
    operation = operations.get(request.fields.get(b":method", b""))
    if operation is None:
        return Answer(Reason.METHOD_NOT_ALLOWED)
    reason = (
        credentials.refuse(request.fields.get(b"authorization"), now) or _app(bundle_id, credentials) or _ids(request)
    )
    return operation(channels, bundle_id, request) if reason is None else Answer(reason)


def _app(bundle_id: str, credentials: Credentials) -> Reason | None:
    """The bundle id comes as it is, "no push type suffix is added", and belongs to the credentials."""
    if bundle_id.endswith(_TOPIC_SUFFIX):
        return Reason.TOPIC_DISALLOWED
    return None if credentials.allows(bundle_id.encode(), b"") else Reason.TOPIC_MISMATCH


def _ids(request: Request) -> Reason | None:
    """apns-request-id, or apns-id as in one of Apple's samples: both may be missing. No header is repeated."""
    if request.repeated:
        return Reason.DUPLICATE_HEADERS
    given = [request.fields[name] for name in (b"apns-request-id", b"apns-id") if name in request.fields]
    return None if all(is_message_id(value) for value in given) else Reason.BAD_MESSAGE_ID


def _create(channels: Channels, bundle_id: str, request: Request) -> Answer:
    wanted = _object(request)
    if isinstance(wanted, Reason):
        return Answer(wanted)
    if wanted.keys() - {"message-storage-policy", "push-type"}:
        return Answer(Reason.BAD_REQUEST_PARAMS)
    push_type, policy = wanted.get("push-type"), wanted.get("message-storage-policy")
    if push_type is None:
        return Answer(Reason.MISSING_PUSH_TYPE)
    if not isinstance(push_type, str) or push_type.lower() != _PUSH_TYPE:
        return Answer(Reason.INVALID_PUSH_TYPE)
    if type(policy) is not int or policy not in tuple(StoragePolicy):
        return Answer(Reason.BAD_REQUEST_PARAMS)
    channel_id = channels.create(bundle_id, StoragePolicy(policy))
    if channel_id is None:
        return Answer(Reason.CANNOT_CREATE_CHANNEL_CONFIG)
    return Answer(given_status=201, channel_id=channel_id)


def _read(channels: Channels, bundle_id: str, request: Request) -> Answer:
    policy = _policy(channels, bundle_id, request)
    if isinstance(policy, Reason):
        return Answer(policy)
    return Answer(content=msgspec.json.encode({"message-storage-policy": int(policy), "push-type": "LiveActivity"}))


def _delete(channels: Channels, bundle_id: str, request: Request) -> Answer:
    policy = _policy(channels, bundle_id, request)
    if isinstance(policy, Reason):
        return Answer(policy)
    channels.delete(bundle_id, request.fields[b"apns-channel-id"].decode())
    return Answer(given_status=204)


def _list(channels: Channels, bundle_id: str, request: Request) -> Answer:
    return Answer(content=msgspec.json.encode({"channels": channels.ids(bundle_id)}))


def _send(channels: Channels, bundle_id: str, request: Request) -> Answer:
    """All headers of Apple's table are required; apns-topic is not among them, and ignored."""
    fields = request.fields
    push_type, expiration = fields.get(b"apns-push-type"), fields.get(b"apns-expiration", b"")
    if push_type is None:
        return Answer(Reason.MISSING_PUSH_TYPE)
    if push_type.lower() != _PUSH_TYPE.encode():
        return Answer(Reason.INVALID_PUSH_TYPE)
    if fields.get(b"apns-priority") not in _PRIORITIES:
        return Answer(Reason.BAD_PRIORITY)
    if not is_seconds(expiration):
        return Answer(Reason.BAD_EXPIRATION_DATE)
    policy = _policy(channels, bundle_id, request)
    if isinstance(policy, Reason):
        return Answer(policy)
    if policy is StoragePolicy.NOTHING and int(expiration) != 0:
        return Answer(Reason.BAD_EXPIRATION_DATE)
    payload = _object(request)
    return Answer(payload) if isinstance(payload, Reason) else ACCEPTED


def _policy(channels: Channels, bundle_id: str, request: Request) -> StoragePolicy | Reason:
    """The storage policy of the channel in apns-channel-id."""
    channel_id = request.fields.get(b"apns-channel-id")
    if not channel_id:
        return Reason.MISSING_CHANNEL_ID
    try:
        base64.b64decode(channel_id, validate=True)
    except binascii.Error:
        return Reason.BAD_CHANNEL_ID
    if len(channel_id) > CHANNEL_ID_LIMIT:
        return Reason.BAD_CHANNEL_ID
    policy = channels.policy(bundle_id, channel_id.decode())
    return Reason.CHANNEL_NOT_REGISTERED if policy is None else policy


def _object(request: Request) -> JsonObject | Reason:
    """The payload, which is a JSON object."""
    if request.size == 0:
        return Reason.PAYLOAD_EMPTY
    if request.size > PAYLOAD_LIMIT:
        return Reason.PAYLOAD_TOO_LARGE
    try:
        payload: Json = msgspec.json.decode(request.payload)
    except ValueError:
        return Reason.BAD_REQUEST_PAYLOAD
    return payload if isinstance(payload, dict) else Reason.BAD_REQUEST_PAYLOAD


_Operation: TypeAlias = Callable[[Channels, str, Request], Answer]
_Operations: TypeAlias = dict[bytes, _Operation]

_ROUTES: tuple[tuple[re.Pattern[bytes], _Operations], ...] = (
    (re.compile(rb"/1/apps/([A-Za-z0-9._-]+)/channels"), {b"POST": _create, b"GET": _read, b"DELETE": _delete}),
    (re.compile(rb"/1/apps/([A-Za-z0-9._-]+)/all-channels"), {b"GET": _list}),
    (re.compile(rb"/4/broadcasts/apps/([A-Za-z0-9._-]+)"), {b"POST": _send}),
)


def _route(path: bytes) -> tuple[str | None, _Operations]:
    """The bundle id in the path, and what can be asked there by which method; None if the path leads nowhere."""
    for pattern, operations in _ROUTES:
        match = pattern.fullmatch(path)
        if match:
            return match[1].decode(), operations
    return None, {}
