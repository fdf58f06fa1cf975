"""The devices that the simulator knows: an NDJSON file, one device token a line.

{"token": "00fc13ad…", "topic": "com.example.shop"}
{"token": "00fc13ae…", "state": "unregistered", "timestamp": 1767225600000}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from scheduler.domain.errors import OperatorError

_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2})+")
_SHAPE = (
    '{"token": "<hex>", "topic": "com.example.app", "state": "valid", "unregistered" or "expired", "timestamp": <ms>}'
)


class DeviceState(StrEnum):
    """Whether Apple would deliver to a token."""

    VALID = "valid"
    UNREGISTERED = "unregistered"
    EXPIRED = "expired"


class Environment(StrEnum):
    """Which of Apple's two services a token, or this simulator, belongs to."""

    SANDBOX = "sandbox"
    PRODUCTION = "production"


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One line of the device file.

    `topic` is the one `apns-topic` that the token is for; None is any. `timestamp` (milliseconds since 1970) says
    since when the token is unregistered or expired; None is the moment of the request. A token of another
    `environment` than the simulator's is a bad token there, as at Apple's.
    """

    token: str
    topic: str | None = None
    state: DeviceState = DeviceState.VALID
    timestamp: int | None = None
    environment: Environment | None = None

    def __post_init__(self) -> None:
        if not is_device_token(self.token):
            raise ValueError(f"token {self.token[:80]!r} is not hexadecimal")
        if self.timestamp is not None and self.state is DeviceState.VALID:
            raise ValueError("`timestamp` goes with state unregistered or expired only")


Devices = Mapping[str, Device]
"""The known devices by token in lower case."""


def is_device_token(text: str) -> bool:
    """Whether this is bytes in hexadecimal. Of any length: Apple says not to assume one."""
    return _TOKEN.fullmatch(text) is not None


def load_devices(path: Path) -> Devices:
    """The devices of a file. OperatorError names file and line of the first bad one."""
    try:
        with path.open("rb") as lines:
            return parse_devices(lines, str(path))
    except OSError as error:
        raise OperatorError(
            f"the device file cannot be read: {error.strerror}",
            where=str(path),
            hint="give a file with one JSON object a line, or leave it out: then every well-formed token is valid",
        ) from error


def parse_devices(lines: Iterable[bytes], name: str) -> Devices:
    """As load_devices, from lines; `name` is the file's in errors. Empty lines are skipped."""
    decode = msgspec.json.Decoder(Device).decode
    devices: dict[str, Device] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            device = decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise OperatorError(
                f"not a device: {error}", where=f"{name}:{number}", hint=f"a line is {_SHAPE}; only `token` is needed"
            ) from error
        token = device.token.lower()
        if token in devices:
            raise OperatorError(
                f"token {device.token[:80]} is in the file a second time",
                where=f"{name}:{number}",
                hint="a token belongs to one app: keep one of the lines",
            )
        devices[token] = device
    return devices
