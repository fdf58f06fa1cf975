"""The fields of `aps` and the types that Apple wants in them.

Source: Apple, "Generating a remote notification" (tables "Keys to include in the aps dictionary", "Keys to include in
the alert dictionary", "Keys to include in the sound dictionary"). A leaf takes the type of its field: a template's
text `3` is the number 3 in `badge` and the text "3" in `title`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import msgspec

from scheduler.domain.push_types import PushType

_ENCODE = msgspec.json.Encoder().encode
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_SECONDS = re.compile(r"0|[1-9][0-9]{0,10}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?")


@dataclass(frozen=True, slots=True)
class LeafType:
    """What a leaf must be: in words, and as a function from its text to JSON (ValueError when it is not that)."""

    wanted: str
    to_json: Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of leaves of one type."""

    item: LeafType


@dataclass(frozen=True, slots=True)
class EitherOr:
    """A single value or a mapping of fields."""

    single: LeafType
    fields: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class OwnFields:
    """A mapping of the app's own fields."""


Shape: TypeAlias = LeafType | ListOf | EitherOr | OwnFields


def _text(text: str) -> bytes:
    return _ENCODE(text)


def _badge(text: str) -> bytes:
    if _INTEGER.fullmatch(text.strip()) is None or text.strip().startswith("-"):
        raise ValueError(text)
    return text.strip().encode()


def _share(text: str) -> bytes:
    if _NUMBER.fullmatch(text.strip()) is None or not 0 <= float(text) <= 1:
        raise ValueError(text)
    return text.strip().encode()


def _word(*words: str) -> Callable[[str], bytes]:
    def to_json(text: str) -> bytes:
        if text not in words:
            raise ValueError(text)
        return _ENCODE(text)

    return to_json


def _digit(*digits: str) -> Callable[[str], bytes]:
    def to_json(text: str) -> bytes:
        if text.strip() not in digits:
            raise ValueError(text)
        return text.strip().encode()

    return to_json


def _number(text: str) -> bytes:
    if _NUMBER.fullmatch(text.strip()) is None:
        raise ValueError(text)
    return text.strip().encode()


def _word_true(text: str) -> bytes:
    if text.strip().lower() != "true":
        raise ValueError(text)
    return b"true"


def _unix_seconds(text: str) -> bytes:
    """A number as it is; an instant, as `event.time` is printed, as the number that it is."""
    if _SECONDS.fullmatch(text.strip()):
        return text.strip().encode()
    at = datetime.fromisoformat(text.strip())
    if at.tzinfo is None:
        raise ValueError(text)
    return b"%d" % int(at.timestamp())


TEXT = LeafType("a text", _text)
UNIX_SECONDS = LeafType("UNIX seconds or an instant with its zone", _unix_seconds)
BADGE = LeafType("a whole number from 0", _badge)
ONE = LeafType("the number 1", _digit("1"))
SHARE = LeafType("a number from 0 to 1", _share)

ALERT: Mapping[str, Shape] = {
    "title": TEXT,
    "subtitle": TEXT,
    "body": TEXT,
    "launch-image": TEXT,
    "title-loc-key": TEXT,
    "title-loc-args": ListOf(TEXT),
    "subtitle-loc-key": TEXT,
    "subtitle-loc-args": ListOf(TEXT),
    "loc-key": TEXT,
    "loc-args": ListOf(TEXT),
}
LOCALISED: Mapping[str, Shape] = {"loc-key": TEXT, "loc-args": ListOf(TEXT)}
SOUND: Mapping[str, Shape] = {
    "critical": LeafType("0 or 1", _digit("0", "1")),
    "name": TEXT,
    "volume": SHARE,
}
_APS: Mapping[str, Shape] = {
    "alert": EitherOr(TEXT, ALERT),
    "badge": BADGE,
    "sound": EitherOr(TEXT, SOUND),
    "thread-id": TEXT,
    "category": TEXT,
    "content-available": ONE,
    "mutable-content": ONE,
    "target-content-id": TEXT,
    "interruption-level": LeafType(
        "passive, active, time-sensitive or critical", _word("passive", "active", "time-sensitive", "critical")
    ),
    "relevance-score": SHARE,
    "filter-criteria": TEXT,
}
LIVE_ALERT: Mapping[str, Shape] = {
    "title": EitherOr(TEXT, LOCALISED),
    "body": EitherOr(TEXT, LOCALISED),
    "sound": TEXT,
}
_LIVE_ACTIVITY: Mapping[str, Shape] = {
    "event": LeafType("start, update or end", _word("start", "update", "end")),
    "timestamp": UNIX_SECONDS,
    "content-state": OwnFields(),
    "stale-date": UNIX_SECONDS,
    "dismissal-date": UNIX_SECONDS,
    "relevance-score": LeafType("a number", _number),
    "alert": EitherOr(TEXT, LIVE_ALERT),
    "attributes-type": TEXT,
    "attributes": OwnFields(),
    "input-push-channel": TEXT,
    "input-push-token": ONE,
}
"""Apple, "Starting and updating Live Activities with ActivityKit push notifications"."""
_CHANGED: Mapping[str, Shape] = {"content-changed": LeafType("true", _word_true)}


def aps_fields(push_type: PushType) -> Mapping[str, Shape]:
    """What `aps` may have in a push of a type."""
    match push_type:
        case PushType.LIVE_ACTIVITY:
            return _LIVE_ACTIVITY
        case PushType.WIDGETS | PushType.CONTROLS:
            return _CHANGED
        case _:
            return _APS


def types_that_have(key: str) -> tuple[PushType, ...]:
    """The push types whose `aps` has a key."""
    return tuple(kind for kind in PushType if key in aps_fields(kind))
