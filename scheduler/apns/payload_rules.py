"""What a push type wants in its payload, beyond the type of each field.

Apple, "Generating a remote notification"; "Pushing background updates to your App"; "Starting and updating Live
Activities with ActivityKit push notifications". APNs itself does not say what is wrong with a payload: it accepts it,
and the device drops it. That widgets and controls want `content-changed`, and MDM the key `mdm`, is custom.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from scheduler.domain.push_types import PushType

_SHOWN: Final = ("alert", "sound", "badge")
_TEXTS: Final = ("title", "subtitle", "body", "title-loc-key", "subtitle-loc-key", "loc-key")
"""What an alert says: in the payload, or by the keys of texts in the app."""
_STARTS: Final = ("attributes-type", "attributes")
_ONLY_STARTS: Final = (*_STARTS, "input-push-channel", "input-push-token")


@dataclass(frozen=True, slots=True)
class PayloadProblem:
    """What is wrong, at which leaf (`aps.alert`, which may be what is missing), and the way out."""

    leaf: str
    message: str
    hint: str


def payload_problems(push_type: PushType, payload: Mapping[str, object]) -> Iterator[PayloadProblem]:
    """Everything that does not fit the push type in a payload whose fields have the right types."""
    aps = payload.get("aps")
    fields: Mapping[str, object] = aps if isinstance(aps, dict) else {}
    match push_type:
        case PushType.ALERT:
            yield from _alert(fields)
        case PushType.BACKGROUND:
            yield from _background(fields)
        case PushType.LIVE_ACTIVITY:
            yield from _live_activity(fields)
        case PushType.WIDGETS | PushType.CONTROLS if "content-changed" not in fields:
            yield PayloadProblem("aps", f"a push of type `{push_type}` says that something changed: `aps` has no "
                                 "`content-changed`", "write `aps: {content-changed: true}`")  # fmt: skip
        case PushType.MDM if not isinstance(payload.get("mdm"), str):
            yield PayloadProblem("aps", "a push to a managed device needs its PushMagic as `mdm`",
                                 'add `mdm: "{{ device.attributes.push_magic }}"` beside `aps`')  # fmt: skip


def _alert(aps: Mapping[str, object]) -> Iterator[PayloadProblem]:
    if not any(key in aps for key in _SHOWN):
        yield PayloadProblem("aps", "an alert notification shows, sounds or counts: `aps` has no alert, sound or badge",
                             "add one, or write `type: background` in the rule's delivery")  # fmt: skip
    alert = aps.get("alert")
    says_something = isinstance(alert, dict) and any(key in alert for key in _TEXTS)
    if isinstance(alert, dict) and not says_something:
        yield PayloadProblem("aps.alert", "`aps.alert` shows nothing: it has no title, subtitle or body",
                             "write `alert: {title: …}`, or leave it out")  # fmt: skip
    elif "mutable-content" in aps and not says_something:
        message = "`mutable-content` lets the app change an alert, and `aps.alert` has no title, subtitle or body"
        yield PayloadProblem("aps.mutable-content", message, "write `alert: {title: …}`, or leave it out")


def _background(aps: Mapping[str, object]) -> Iterator[PayloadProblem]:
    if "content-available" not in aps:
        yield PayloadProblem("aps", "a background notification needs `content-available: 1` in `aps`", "add it")
    for key in (key for key in _SHOWN if key in aps):
        yield PayloadProblem(f"aps.{key}", f"a background notification cannot have `{key}`: it shows nothing",
                             "remove it, or write `type: alert` in the rule's delivery")  # fmt: skip


def _live_activity(aps: Mapping[str, object]) -> Iterator[PayloadProblem]:
    for key, why in (
        ("event", "what happens to it: start, update or end"),
        ("timestamp", "when that was: a device drops what is older than what it has"),
        ("content-state", "what it shows from now on"),
    ):
        if key not in aps:
            yield PayloadProblem(f"aps.{key}", f"a Live Activity needs `{key}`, {why}", f"add `{key}: …` to `aps`")
    event = aps.get("event")
    if event == "start":
        for key in (*_STARTS, "alert"):
            if key not in aps:
                yield PayloadProblem(f"aps.{key}", f"a Live Activity starts with `{key}`, and `aps` has none",
                                     f"add `{key}: …` to `aps`")  # fmt: skip
    elif event is not None:
        for key in (key for key in _ONLY_STARTS if key in aps):
            yield PayloadProblem(f"aps.{key}", f"`{key}` belongs to the start of a Live Activity, and `event` is "
                                 f"{event}", "leave it out")  # fmt: skip
    if "dismissal-date" in aps and event in ("start", "update"):
        yield PayloadProblem("aps.dismissal-date", "`dismissal-date` belongs to the end of a Live Activity, and "
                             f"`event` is {event}", "leave it out, or write `event: end`")  # fmt: skip
