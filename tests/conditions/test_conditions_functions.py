"""Filters, functions, `*`, `~`, dates and instants: their meaning row by row, and what is wrong with their use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.conditions.condition import Condition
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
SCHEMA = Schema(
    events={
        "goal": Section({
            "home": FieldType(ValueType.STRING), "score": FieldType(ValueType.INTEGER),
            "at": FieldType(ValueType.INSTANT), "scorer": FieldType(ValueType.STRING, optional=True),
        }),
        "order": Section({"total": FieldType(ValueType.NUMBER)}),
    },
    users=Section({
        "plan": FieldType(ValueType.ENUM, values=("Free", "Pro")), "birthday": FieldType(ValueType.DATE),
        "tags": FieldType(ValueType.LIST), "vip": FieldType(ValueType.BOOLEAN), "x": FieldType(ValueType.ANY),
    }),
    open_events=False,
)  # fmt: skip
SCOPE = {
    "event": {"id": "E1", "type": "goal", "time": NOON, "data": {
        "home": "Straße", "turkish": "İ", "sigma": "ΟΔΟΣ", "ligature": "ﬁ", "score": 2, "big": 2**63 - 1, "half": 2.5,
        "text": "42", "decimal": " 3.9 ", "word": "x", "empty": "", "list": ["a", "b"], "none": [], "flag": True,
        "at": "2026-11-23T12:00:00Z", "day": "2026-11-23", "same": {"a": [1, True]}, "was_null": 1, "huge": 1e308,
        "smile": "😀", "bad_instant": "2026-13-45T99:00:00Z", "came": 1,
    }},
    "previous": {"id": "E0", "data": {"score": 1, "home": "Straße", "same": {"a": [1.0, True]}, "was_null": None,
                                      "flag": 1, "list": ["a"], "went": 1}},
    "exit": {"data": {"total": 5.0}},
    "user": {"attributes": {"birthday": "1990-11-24", "plan": "Free", "tags": ["x"], "vip": True}},
    "device": {"id": 7, "last_seen_at": NOON - timedelta(days=8)},
    "now": NOON + timedelta(hours=11, minutes=30),
    "slot": NOON,
    "zone": BERLIN,
}  # fmt: skip


def parsed(text: str, schema: Schema, names: frozenset[str]) -> tuple[Condition | None, list[Diagnostic]]:
    source = Source("rule.yaml", text)
    node = ScalarNode(text, source.span(0, len(text)), plain=True, places=tuple(range(len(text) + 1)))
    return parse_condition(node, schema, names=names, event_type="goal", exit_type="order")


def value_of(text: str, schema: Schema, names: frozenset[str] = ROOTS) -> bool | None:
    condition, findings = parsed(text, schema, names)
    assert condition is not None, findings
    whole = condition.evaluate(SCOPE)
    assert condition.trace(SCOPE)[0] is whole
    for known in (("event", "previous", "now"), ("zone",), ("user", "zone"), ("event", "zone")):
        assert condition.bind({root: SCOPE[root] for root in known}).evaluate(SCOPE) is whole
    everything = condition.bind(SCOPE)
    assert everything.is_constant
    assert everything.constant is whole
    return whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # text
        ("event.data.home | lower == 'straße'", True),
        ("event.data.home | upper == 'STRASSE'", True),
        ("event.data.turkish | lower | length == 2", True),
        ("event.data.sigma | lower == 'οδος'", True),
        ("event.data.ligature | upper == 'FI'", True),
        ("event.data.score | lower == '2'", None),
        ("event.data.nothing | lower == 'x'", None),
        ("event.data.smile | length == 1", True),
        ("event.data.empty | length == 0", True),
        ("event.data.list | length == 2", True),
        ("event.data.score | length == 1", None),
        ("event.data.home ~ '/' ~ event.data.score == 'Straße/2'", True),
        ("event.data.home ~ event.data.half == 'Straße2.5'", True),
        ("event.data.home ~ event.data.nothing == 'Straße'", None),
        ("event.data.home ~ event.data.flag == 'Straßetrue'", None),
        ("startswith(event.data.home, 'Str')", True),
        ("startswith(event.data.home, 'str')", False),
        ("startswith(event.data.home, '')", True),
        ("startswith(event.data.score, '2')", None),
        ("startswith(event.data.nothing, '2')", None),
        # numbers
        ("event.data.text | int == 42", True),
        ("event.data.decimal | int == 3", True),
        ("event.data.decimal | float == 3.9", True),
        ("event.data.half | int == 2", True),
        ("event.data.word | int == 0", None),
        ("event.data.word | int | default(0) == 0", True),
        ("event.data.flag | int == 1", None),
        ("'9223372036854775807' | int == event.data.big", True),
        ("'9223372036854775808' | int == 0", None),
        ("'1e999' | float > 0", None),
        ("event.data.score * 3 == 6", True),
        ("event.data.score * event.data.half == 5", True),
        ("event.data.big * 2 > 0", None),
        ("event.data.huge * event.data.huge > 0", None),
        ("event.data.flag * 2 == 2", None),
        ("-event.data.score * -1 == 2", True),
        # first and last
        ("event.data.list | first == 'a'", True),
        ("event.data.list | last == 'b'", True),
        ("event.data.home | last == 'e'", True),
        ("event.data.none | first == 'a'", None),
        ("event.data.empty | first == 'a'", None),
        # changed
        ("changed('score')", True),
        ("changed('home')", False),
        ("changed('event.data.home')", False),
        ("changed('same')", False),
        ("changed('was_null')", True),
        ("changed('came')", True),
        ("changed('went')", True),
        ("changed('neither')", False),
        ("changed('flag')", True),
        ("changed('list')", True),
        # instants: 2026-11-23 12:00 UTC is 13:00 in Berlin
        ("event.time == '2026-11-23 13:00'", True),
        ("event.time == '2026-11-23T12:00:00Z'", True),
        ("event.time == '2026-11-23T07:00:00-05:00'", True),
        ("event.time >= '2026-11-23'", True),
        ("event.time < '2026-11-24'", True),
        ("'2026-11-23 13:00' < now", True),
        ("event.time in ['2026-11-23 12:00', '2026-11-23 13:00']", True),
        ("event.time in ['2026-11-23 12:00']", False),
        ("event.data.at == event.time", True),
        ("event.data.at <= now", True),
        ("event.data.bad_instant < now", None),
        ("event.data.home < now", None),
        ("event.data.nothing | default('2026-11-23 13:00') == 'x'", False),
        ("device.last_seen_at < ago('7 days')", True),
        ("device.last_seen_at < ago('9 days')", False),
        # dates: now is 23:30 UTC, which is tomorrow in Berlin; the slot is not
        ("today == '2026-11-23'", True),
        ("days_between('2026-11-20', today) == 3", True),
        ("days_between(today, '2026-11-20') == -3", True),
        ("days_between(event.time, now) == 1", True),
        ("days_between(event.data.at, '2026-11-24 00:10') == 1", True),
        ("days_between(event.data.day, event.data.at) == 0", True),
        ("days_between(event.data.word, today) == 0", None),
        ("days_between(user.attributes.birthday, today) > 12000", True),
        ("exit.data.total == 5", True),
        ("slot == event.time", True),
    ],
)
def test_meaning_where_nothing_is_declared(text: str, expected: bool | None) -> None:
    assert value_of(text, Schema.undeclared()) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.data.at == '2026-11-23 13:00'", True),
        ("event.data.at is defined", True),
        ("event.data.at != now", True),
        ("user.attributes.birthday < '1990-12-01'", True),
        ("user.attributes.birthday in ['1990-11-24']", True),
        ("user.attributes.birthday == today", False),
        ("user.attributes.plan | lower in ['free']", True),
        ("user.attributes.plan | upper == 'FREE'", True),
        ("exit.data.total * 2 == 10", True),
        ("event.data.scorer | default(event.data.home) | lower == 'straße'", True),
    ],
)
def test_meaning_where_types_are_declared(text: str, expected: bool | None) -> None:
    assert value_of(text, SCHEMA) is expected


def test_today_is_the_date_of_now_where_there_is_no_slot() -> None:
    names = frozenset({"event", "device", "user", "now", "today"})
    assert value_of("today == '2026-11-24'", SCHEMA, names) is True


@pytest.mark.parametrize("text", ["event.time < '2026-11-24'", "today == '2026-11-23'", "days_between(now, now) == 0"])
def test_what_depends_on_the_zone_is_unknown_without_one(text: str) -> None:
    condition, _ = parsed(text, SCHEMA, ROOTS)
    assert condition is not None
    assert condition.reads_zone
    assert condition.evaluate({**SCOPE, "zone": None}) is None
    in_berlin = condition.bind({"zone": BERLIN})
    assert not in_berlin.reads_zone
    assert in_berlin.evaluate({**SCOPE, "zone": None}) is condition.evaluate(SCOPE)


def test_change_is_unknown_without_a_previous_event() -> None:
    condition, _ = parsed("changed('score')", SCHEMA, ROOTS)
    assert condition is not None
    assert condition.evaluate({**SCOPE, "previous": {}}) is None
    assert condition.bind({"event": SCOPE["event"], "previous": {}}).constant is None


WHERE = frozenset({"event", "device", "user", "now", "today"})
DURATION = "'soon' is not a duration; write a whole number and s, min, h, day or week: '15 minutes'"


@pytest.mark.parametrize(
    ("text", "code", "place", "message", "hint"),
    [
        ("event.id | lower(1) == 'x'", "wrong-arguments", "event.id | lower(1)", "`lower` takes nothing in brackets",
         "write `| lower`"),
        ("event.id | int(0) == 1", "wrong-arguments", "event.id | int(0)", "`int` takes nothing in brackets",
         "write `int | default(…)`"),
        ("event.data.score | lower == 'x'", "different-types", "event.data.score",
         "`lower` takes text, and this is an integer", None),
        ("event.data.score | length == 1", "different-types", "event.data.score",
         "`length` takes text or a list, and this is an integer", None),
        ("user.attributes.vip | int == 1", "different-types", "user.attributes.vip",
         "`int` takes text or a number, and this is a boolean", None),
        ("event.id | count == 2", "not-in-language", "event.id | count", "the filter `count` is not part of conditions",
         "write `length`"),
        ("event.id | lowr == 'x'", "not-in-language", "event.id | lowr", "the filter `lowr` is not part of conditions",
         "did you mean 'lower'?"),
        ("len(event.id) == 2", "not-in-language", "len(event.id)", "the function `len` is not part of conditions",
         "write `name | length`"),
        ("contains(event.id, 'x')", "not-in-language", "contains(event.id, 'x')",
         "the function `contains` is not part of conditions", 'write `"…" in name`'),
        ("event.data.home.startswith('x')", "not-in-language", "event.data.home.startswith('x')",
         "a call is not part of conditions", 'write `startswith(event.data.home, "…")`'),
        ("now() > event.time", "not-in-language", "now()", "the function `now` is not part of conditions",
         "write `now`, without brackets"),
        ("startswith(event.id)", "wrong-arguments", "startswith(event.id)", "`startswith` takes two values",
         'write `startswith(device.locale, "de")`'),
        ("startswith(event.id, 5)", "different-types", "5", "`startswith` takes text, and this is an integer", None),
        ("event.time > ago(7)", "wrong-arguments", "7", "`ago` takes a duration in quotes", 'write `ago("7 days")`'),
        ("event.time > ago('soon')", "wrong-arguments", "'soon'", DURATION, None),
        ("changed(event.data.home)", "wrong-arguments", "event.data.home",
         "`changed` takes the name of a field of the event's data in quotes", 'write `changed("home_score")`'),
        ("changed('scoer')", "unknown-name", "'scoer'", "unknown name 'scoer' in `event.data`",
         "did you mean 'scorer'?"),
        ("days_between(event.id, now) > 1", "different-types", "event.id",
         "`days_between` takes dates and instants, and this is a string",
         "write `days_between(user.attributes.birthday, today)`"),
        ("user.attributes.birthday < 'soon'", "wrong-date", "'soon'",
         "this is compared with a date, and 'soon' is no date or time", 'write a date as "2026-11-27"'),
        ("user.attributes.birthday < '2026-02-30'", "wrong-date", "'2026-02-30'",
         "this is compared with a date, and '2026-02-30' does not exist in the calendar",
         'write a date as "2026-11-27"'),
        ("user.attributes.birthday == '2026-11-27 09:00'", "wrong-date", "'2026-11-27 09:00'",
         "this is compared with a date, and '2026-11-27 09:00' has a time too", 'write "2026-11-27"'),
        ("event.time > '9 o clock'", "wrong-date", "'9 o clock'",
         "this is compared with an instant, and '9 o clock' is no date or time",
         'write "2026-11-27 09:00" (in the person\'s zone), or count back from now: `ago("7 days")`'),
        ("user.attributes.birthday < now", "different-types", "user.attributes.birthday < now",
         "`<` compares a date with an instant",
         'beside a time stands `now` or `ago("1 day")`, beside a date `today`; `days_between(a, b)` counts days'),
        ("now - 7 < event.time", "different-types", "now - 7", "`-` takes numbers, and this is an instant",
         'write `ago("7 days")`, or `days_between(a, b)`'),
        ("event.data.home * 2 == 4", "different-types", "event.data.home * 2",
         "`*` takes numbers, and this is a string", None),
        ("event.data.home ~ user.attributes.tags == 'x'", "different-types", "user.attributes.tags",
         "`~` joins text and numbers, and this is a list", None),
        ("user.attributes.plan | lower == 'Free'", "enum-value", "'Free'",
         "'Free' is never equal: the values are 'free', 'pro'", "did you mean 'free'?"),
        ("user.attributes.tags | first != 'x'", "missing-hazard", "user.attributes.tags | first",
         "'user.attributes.tags | first' may be missing, and then `!=` is unknown: nobody without it matches",
         "say what it counts as then: `user.attributes.tags | first | default(…)`"),
        ("not changed('score')", "missing-hazard", "changed('score')",
         "'previous' may be missing, and then `not` is unknown: nobody without it matches",
         "to include the first event: `previous is not defined or not …`; "
         "to leave it out on purpose: `previous is defined and not …`"),
        ("not startswith(event.data.scorer, 'x')", "missing-hazard", "event.data.scorer",
         "'event.data.scorer' may be missing, and then `not` is unknown: nobody without it matches",
         "to include those without it, say what they count as: `event.data.scorer | default(…)`; "
         "to leave them out on purpose: `event.data.scorer is defined and not …`"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_where_and_the_way_out(
    text: str, code: str, place: str, message: str, hint: str | None
) -> None:
    _, findings = parsed(text, SCHEMA, ROOTS)
    found = [(one.code, text[one.span.start : one.span.end], one.message, one.hint) for one in findings]
    assert found == [(code, place, message, hint)]


@pytest.mark.parametrize("text", ["slot < now", "exit.data.total > 1", "changed('score')"])
def test_name_of_another_kind_of_rule_cannot_be_used(text: str) -> None:
    condition, findings = parsed(text, SCHEMA, WHERE)
    assert condition is None
    assert [one.code for one in findings] in (["unknown-name"], ["not-in-language"])


@pytest.mark.parametrize(
    "text",
    [
        "previous is defined and not changed('score')",
        "previous is not defined or not changed('score')",
        "changed('score') and event.data.score * 2 > 3",
        "user.attributes.tags | first | default('') != 'x'",
        "event.data.score | int != 3",
        "not startswith(event.data.scorer | default(''), 'x')",
        "event.data.at > ago('2 hours') and event.data.at < '2026-12-24'",
        "days_between(user.attributes.birthday, today) != 3",
        "user.attributes.x | lower != 'x' and user.attributes.x is defined",
    ],
)
def test_sound_use_has_no_finding(text: str) -> None:
    assert parsed(text, SCHEMA, ROOTS)[1] == []
