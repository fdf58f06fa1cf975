"""What each push type wants in its payload. The messages are shown by tests/rules_corpus too."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.apns.payload_rules import payload_problems
from scheduler.domain.push_types import PushType

LIVE = {"event": "update", "timestamp": 1, "content-state": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["alert", "sound", "badge", "event", "timestamp", "content-state", "attributes", "dismissal-date"]


def leaves(push_type: PushType, payload: dict[str, object]) -> list[str]:
    return [problem.leaf for problem in payload_problems(push_type, payload)]


def test_each_event_of_a_live_activity_has_what_it_needs_and_nothing_of_the_others() -> None:
    kind = PushType.LIVE_ACTIVITY
    start = {"event": "start", "attributes-type": "A", "attributes": {}, "alert": {"title": "a"}}
    assert leaves(kind, {"aps": LIVE}) == []
    assert leaves(kind, {"aps": {**LIVE, **start}}) == []
    assert leaves(kind, {"aps": {**LIVE, "event": "end", "dismissal-date": 2}}) == []
    assert leaves(kind, {"aps": {**LIVE, "event": "start"}}) == ["aps.attributes-type", "aps.attributes", "aps.alert"]
    assert leaves(kind, {"aps": {**LIVE, "input-push-token": 1}}) == ["aps.input-push-token"]
    assert leaves(kind, {"aps": {**LIVE, **start, "dismissal-date": 2}}) == ["aps.dismissal-date"]
    assert leaves(kind, {}) == ["aps.event", "aps.timestamp", "aps.content-state"]


def test_an_alert_with_fields_shows_a_text_its_own_or_the_apps() -> None:
    alert, texts = PushType.ALERT, ("title", "subtitle", "body", "title-loc-key", "subtitle-loc-key", "loc-key")
    for text in texts:
        assert leaves(alert, {"aps": {"alert": {text: "a"}, "mutable-content": 1}}) == []
    assert leaves(alert, {"aps": {"alert": {}, "badge": 1}}) == ["aps.alert"]
    assert leaves(alert, {"aps": {"alert": {"launch-image": "a"}}}) == ["aps.alert"]
    assert leaves(alert, {"aps": {"alert": "a", "mutable-content": 1}}) == ["aps.mutable-content"]
    assert leaves(alert, {"aps": {"badge": 1, "mutable-content": 1}}) == ["aps.mutable-content"]


@given(st.sampled_from(PushType), st.dictionaries(st.sampled_from(["aps", "mdm", "x"]), JSON, max_size=3))
def test_whatever_the_payload_every_problem_has_a_place_a_message_and_a_way_out(
    push_type: PushType, payload: dict[str, object]
) -> None:
    for problem in payload_problems(push_type, payload):
        assert problem.leaf.startswith("aps")
        assert problem.message
        assert problem.hint


@given(st.dictionaries(st.sampled_from(KEYS), st.just(1)))
def test_background_push_shows_nothing(aps: dict[str, object]) -> None:
    shown = [f"aps.{key}" for key in ("alert", "sound", "badge") if key in aps]
    assert leaves(PushType.BACKGROUND, {"aps": {**aps, "content-available": 1}}) == shown
