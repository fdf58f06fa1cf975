"""Defects of payloads that Apple accepts, and with which a device then shows nothing, or not what was meant.

Apple's server documents no check of what is in `aps`, so nothing is refused for it. Sources: Apple, "Generating a
remote notification", "Pushing background updates to your app", and "Starting and updating Live Activities with
ActivityKit push notifications".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from scheduler.domain.json_values import Json, JsonObject
from scheduler.simulator.checks import Request

_LEVELS = ("passive", "active", "time-sensitive", "critical")
_TEXTS = ("thread-id", "category", "target-content-id", "filter-criteria")
_ALERTING = ("alert", "badge", "sound")
_EVENTS = ("start", "update", "end")


def defects_of(request: Request) -> tuple[str, ...]:
    """What is wrong with the payload of a request, in the order of the rules below; each in a few words."""
    push_type = request.fields.get(b"apns-push-type", b"alert").decode("latin-1")
    try:
        payload: Json = msgspec.json.decode(request.payload)
    except ValueError:
        return ("not JSON",)
    if not isinstance(payload, dict):
        return ("not a JSON object",)
    if push_type in ("mdm", "voip", "fileprovider", "complication", "pushtotalk", "location") and "aps" not in payload:
        return ()
    aps = payload.get("aps")
    if not isinstance(aps, dict):
        return ("`aps` is missing" if aps is None else "`aps` is not an object",)
    return tuple(_defects(push_type, aps))


def _defects(push_type: str, aps: JsonObject) -> Iterator[str]:
    alert = aps.get("alert")
    if alert is not None and not isinstance(alert, dict | str):
        yield "`alert` is neither a text nor an object"
    yield from _of_kind(aps, "badge", _is_number, "a number")
    sound = aps.get("sound")
    if sound is not None and not isinstance(sound, dict | str):
        yield "`sound` is neither a text nor an object"
    for name in _TEXTS:
        yield from _of_kind(aps, name, lambda value: isinstance(value, str), "a text")
    level = aps.get("interruption-level")
    if level is not None and level not in _LEVELS:
        yield f"`interruption-level` is none of {', '.join(_LEVELS)}"
    score = aps.get("relevance-score")
    if score is not None and not (_is_number(score) and (push_type == "liveactivity" or _between_0_and_1(score))):
        yield "`relevance-score` is not a number from 0 to 1"
    if aps.get("mutable-content") == 1 and not alert:
        yield "`mutable-content` without an alert: the extension is not called"
    if push_type == "liveactivity":
        yield from _live_activity(aps)
    elif push_type == "background":
        if aps.get("content-available") != 1:
            yield "`background` without `content-available: 1`: the app is not woken"
        if any(name in aps for name in _ALERTING):
            yield "`background` with alert, badge or sound"
    elif push_type == "alert" and not any(name in aps for name in _ALERTING):
        yield "`alert` without alert, badge or sound: nothing is shown"


def _live_activity(aps: JsonObject) -> Iterator[str]:
    event = aps.get("event")
    if event not in _EVENTS:
        yield "Live Activity: `event` is none of start, update, end"
    if not _is_number(aps.get("timestamp")):
        yield "Live Activity: `timestamp` (seconds) is missing"
    for name in ("timestamp", "stale-date", "dismissal-date"):
        value = aps.get(name)
        if isinstance(value, int | float) and value > 1e11:
            yield f"Live Activity: `{name}` is in milliseconds"
    if event in ("start", "update") and not isinstance(aps.get("content-state"), dict):
        yield "Live Activity: `content-state` is missing"
    if event == "start":
        yield from (f"Live Activity: start without `{name}`" for name in _STARTING if name not in aps)
    if event != "start" and ("attributes" in aps or "attributes-type" in aps):
        yield "Live Activity: `attributes` belong to start alone"
    if event != "end" and "dismissal-date" in aps:
        yield "Live Activity: `dismissal-date` belongs to end alone"


_STARTING = ("attributes-type", "attributes", "alert")


def _of_kind(aps: JsonObject, name: str, fits: Callable[[Json], bool], kind: str) -> Iterator[str]:
    value = aps.get(name)
    if value is not None and not fits(value):
        yield f"`{name}` is not {kind}"


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _between_0_and_1(value: Json) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1
