"""The checks that a request passes, in this order: method, path, authentication, headers, device token, payload.

The first that fails answers. Sources: Apple, "Sending notification requests to APNs" (headers, sizes, push types) and
"Handling notification responses from APNs" (reasons). Where Apple names a rule but no reason, the docstring says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from scheduler.simulator.devices import Devices, DeviceState, Environment, is_device_token
from scheduler.simulator.reasons import ACCEPTED, Answer, Reason

PATH_PREFIX = b"/3/device/"
BROADCAST_PREFIXES = (b"/1/apps/", b"/4/broadcasts/")
"""Channel management, and what is sent on channels."""
PAYLOAD_LIMIT = 4096
VOIP_PAYLOAD_LIMIT = 5120
COLLAPSE_ID_LIMIT = 64

TOPIC_SUFFIXES = {
    b"alert": b"",
    b"background": b"",
    b"mdm": b"",
    b"voip": b".voip",
    b"complication": b".complication",
    b"fileprovider": b".pushkit.fileprovider",
    b"location": b".location-query",
    b"liveactivity": b".push-type.liveactivity",
    b"pushtotalk": b".voip-ptt",
    b"widgets": b".push-type.widgets",
    b"controls": b".push-type.controls",
}
"""Push type → what its apns-topic ends with after the bundle id."""

_SUFFIXED = tuple(suffix for suffix in TOPIC_SUFFIXES.values() if suffix)
_TOPIC = re.compile(rb"[A-Za-z0-9._-]+")
_MESSAGE_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECONDS = re.compile(rb"[0-9]{1,18}")
_PRIORITIES = (b"1", b"5", b"10")
_FORBIDDEN_PRIORITIES = {b"background": b"10", b"liveactivity": b"1"}
_ROW_LIFE = 60.0
"""Seconds after which a row of requests to one device is forgotten. Apple names no number."""


class Request:
    """One request as it came: header names in lower case (HTTP/2 asks for it), values as bytes.

    `payload` is complete up to VOIP_PAYLOAD_LIMIT; `size` is the true count of bytes.
    """

    __slots__ = ("fields", "payload", "repeated", "size")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        pairs = list(headers)
        self.fields: dict[bytes, bytes] = dict(pairs)
        self.repeated = len(self.fields) != len(pairs)
        self.payload = b""
        self.size = 0

    def extend(self, data: bytes) -> None:
        """More of the body."""
        if self.size <= VOIP_PAYLOAD_LIMIT:
            self.payload += data
        self.size += len(data)

    @property
    def device_token(self) -> str | None:
        """What stands in the path as device token, whatever it is; None if the path has no place for one."""
        path = self.fields.get(b":path", b"")
        return path[len(PATH_PREFIX) :].decode("latin-1") if path.startswith(PATH_PREFIX) else None

    @property
    def broadcast(self) -> str | None:
        """Method and path of a request that is about channels; None of any other."""
        path = self.fields.get(b":path", b"")
        if not path.startswith(BROADCAST_PREFIXES):
            return None
        return (self.fields.get(b":method", b"") + b" " + path).decode("latin-1")

    @property
    def id_header(self) -> bytes:
        """The header that carries the id of the request, there and back."""
        return b"apns-id" if self.broadcast is None else b"apns-request-id"


def is_seconds(value: bytes) -> bool:
    """Whether this is an apns-expiration: whole seconds since 1970, or 0."""
    return _SECONDS.fullmatch(value) is not None


def is_message_id(value: bytes) -> bool:
    """Whether this is an apns-id: a canonical UUID in lower case, 8-4-4-4-12."""
    return _MESSAGE_ID.fullmatch(value) is not None


class Credentials(Protocol):
    """How a connection proves who it is: by provider tokens, or by a client certificate."""

    @property
    def proved(self) -> bool:
        """Whether more than one stream may be open."""
        ...

    @property
    def default_topic(self) -> bytes | None:
        """What an absent apns-topic means."""
        ...

    def refuse(self, authorization: bytes | None, now: float) -> Reason | None:
        """The reason to refuse a request with this header at `now` (seconds since 1970), None if it is good."""
        ...

    def allows(self, topic: bytes, suffix: bytes) -> bool:
        """Whether pushes to this topic are allowed; `suffix` is the part of it that the push type asks for."""
        ...


class Row:
    """Requests in a row to one device token, over all connections: more than `most` are too many. None is any."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._token: str | None = None
        self._length = 0
        self._since = 0.0

    def refuse(self, token: str, now: float) -> Reason | None:
        if token != self._token or now >= self._since + _ROW_LIFE:
            self._token, self._length, self._since = token, 0, now
        self._length += 1
        return None if self._most is None or self._length <= self._most else Reason.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class World:
    """What the checks know beside the request: the devices (None: every well-formed token is valid), which of
    Apple's services this simulator plays (None: both), and whom the last requests went to."""

    devices: Devices | None = None
    environment: Environment | None = None
    row: Row = field(default_factory=Row)


def judge(world: World, request: Request, credentials: Credentials, now: float) -> Answer:
    """Apple's answer to a request on the connection with these `credentials`, at `now` (seconds since 1970).

    Pure but for what `credentials` and the row of requests remember: the same requests get the same answers.
    """
    reason = (
        _method(request)
        or _path(request)
        or credentials.refuse(request.fields.get(b"authorization"), now)
        or _headers(request, credentials)
    )
    if reason is not None:
        return Answer(reason)
    answer = _device(request, world, now)
    if answer is not ACCEPTED:
        return answer
    reason = _payload(request)
    return ACCEPTED if reason is None else Answer(reason)


def _method(request: Request) -> Reason | None:
    return None if request.fields.get(b":method") == b"POST" else Reason.METHOD_NOT_ALLOWED


def _path(request: Request) -> Reason | None:
    path = request.fields.get(b":path", b"")
    if not path.startswith(PATH_PREFIX):
        return Reason.BAD_PATH
    return Reason.MISSING_DEVICE_TOKEN if path == PATH_PREFIX else None


def _headers(request: Request, credentials: Credentials) -> Reason | None:
    """A repeated header comes first: which of its values counts cannot be known."""
    if request.repeated:
        return Reason.DUPLICATE_HEADERS
    fields = request.fields
    if credentials.default_topic is not None:
        fields.setdefault(b"apns-topic", credentials.default_topic)
    for check in _HEADER_CHECKS:
        reason = check(fields)
        if reason is not None:
            return reason
    suffix = TOPIC_SUFFIXES[fields.get(b"apns-push-type", b"alert")]
    return None if credentials.allows(fields[b"apns-topic"], suffix) else Reason.TOPIC_DISALLOWED


_Fields = dict[bytes, bytes]


def _message_id(fields: _Fields) -> Reason | None:
    """apns-id: may be missing."""
    value = fields.get(b"apns-id")
    return None if value is None or is_message_id(value) else Reason.BAD_MESSAGE_ID


def _topic(fields: _Fields) -> Reason | None:
    """apns-topic: needed, and made like a bundle id. Apple does not say what makes a topic bad."""
    value = fields.get(b"apns-topic")
    if not value:
        return Reason.MISSING_TOPIC
    return None if _TOPIC.fullmatch(value) else Reason.BAD_TOPIC


def _push_type(fields: _Fields) -> Reason | None:
    """apns-push-type: may be missing (Apple asks for it from watchOS 6 on), else one of Apple's list."""
    value = fields.get(b"apns-push-type")
    return None if value is None or value in TOPIC_SUFFIXES else Reason.INVALID_PUSH_TYPE


def _topic_of_push_type(fields: _Fields) -> Reason | None:
    """The topic's ending is the push type's. Apple states the rule without its reason; BadTopic is our reading."""
    push_type = fields.get(b"apns-push-type")
    if push_type is None:
        return None
    topic, suffix = fields[b"apns-topic"], TOPIC_SUFFIXES[push_type]
    matches = topic.endswith(suffix) and topic != suffix if suffix else not topic.endswith(_SUFFIXED)
    return None if matches else Reason.BAD_TOPIC


def _priority(fields: _Fields) -> Reason | None:
    """apns-priority: 10 (also if missing), 5 or 1. With `background`, 10 "is an error"; a Live Activity has 5 or 10
    ("Starting and updating Live Activities with ActivityKit push notifications"). The reason is our reading."""
    value = fields.get(b"apns-priority", b"10")
    push_type = fields.get(b"apns-push-type", b"alert")
    return None if value in _PRIORITIES and value != _FORBIDDEN_PRIORITIES.get(push_type) else Reason.BAD_PRIORITY


def _expiration(fields: _Fields) -> Reason | None:
    """apns-expiration: may be missing."""
    value = fields.get(b"apns-expiration")
    return None if value is None or is_seconds(value) else Reason.BAD_EXPIRATION_DATE


def _collapse_id(fields: _Fields) -> Reason | None:
    """apns-collapse-id: at most 64 bytes."""
    return Reason.BAD_COLLAPSE_ID if len(fields.get(b"apns-collapse-id", b"")) > COLLAPSE_ID_LIMIT else None


_HEADER_CHECKS: tuple[Callable[[_Fields], Reason | None], ...] = (
    _message_id,
    _topic,
    _push_type,
    _topic_of_push_type,
    _priority,
    _expiration,
    _collapse_id,
)


def _device(request: Request, world: World, now: float) -> Answer:
    token = request.device_token or ""
    if not is_device_token(token):
        return Answer(Reason.BAD_DEVICE_TOKEN)
    too_many = world.row.refuse(token.lower(), now)
    if too_many is not None:
        return Answer(too_many)
    if world.devices is None:
        return ACCEPTED
    device = world.devices.get(token.lower())
    if device is None or (device.environment and world.environment and device.environment is not world.environment):
        return Answer(Reason.BAD_DEVICE_TOKEN)
    if device.topic is not None and device.topic.encode() != request.fields[b"apns-topic"]:
        return Answer(Reason.DEVICE_TOKEN_NOT_FOR_TOPIC)
    if device.state is DeviceState.VALID:
        return ACCEPTED
    reason = Reason.EXPIRED_TOKEN if device.state is DeviceState.EXPIRED else Reason.UNREGISTERED
    return Answer(reason, int(now * 1000) if device.timestamp is None else device.timestamp)


def _payload(request: Request) -> Reason | None:
    if request.size == 0:
        return Reason.PAYLOAD_EMPTY
    voip = request.fields.get(b"apns-push-type") == b"voip"
    return Reason.PAYLOAD_TOO_LARGE if request.size > (VOIP_PAYLOAD_LIMIT if voip else PAYLOAD_LIMIT) else None
