"""The fields of `aps` and the types that Apple wants in them.

Source: Apple, "Generating a remote notification" (tables "Keys to include in the aps dictionary", "Keys to include in
the alert dictionary", "Keys to include in the sound dictionary"). A leaf takes the type of its field: a template's
text `3` is the number 3 in `badge` and the text "3" in `title`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

_ENCODE = msgspec.json.Encoder().encode
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
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


Shape: TypeAlias = LeafType | ListOf | EitherOr


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


TEXT = LeafType("a text", _text)
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
SOUND: Mapping[str, Shape] = {
    "critical": LeafType("0 or 1", _digit("0", "1")),
    "name": TEXT,
    "volume": SHARE,
}
APS: Mapping[str, Shape] = {
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
LIVE_ACTIVITY_KEYS = frozenset({
    "stale-date", "content-state", "timestamp", "event", "dismissal-date", "attributes-type", "attributes",
    "input-push-channel", "input-push-token", "content-changed",
})  # fmt: skip
"""Keys of push types that are not built: Live Activities, widgets, controls."""
