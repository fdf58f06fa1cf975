"""What SQL finds, beside what was said: hard values in pairs, and the ways that a lowering goes wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hard_people import APP, FIRST, NOON_MS, NUMBERS, VALUES
from random_conditions import HARD_STRINGS
from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from support.registries import Registry, add_devices, add_topics, add_users, matching, recipients, selected

from scheduler.conditions.condition import Condition
from scheduler.conditions.evaluation import compare
from scheduler.conditions.expressions import (
    And,
    Call,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    Function,
    In,
    ListOf,
    LocalDate,
    Name,
    Not,
)
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.store.audience import Audience, page
from scheduler.store.criteria import Lowered, lower
from scheduler.store.tables import DEVICES, USERS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONSTANTS: list[object] = [*HARD_STRINGS, *NUMBERS[:50], True, False, NOON]
FIELD = Name("device", ("attributes", "a"))
AS_INSTANT = Call(Function.INSTANT, (FIELD,))


def condition_of(text: str | Expression) -> Condition:
    """A condition as a run binds it."""
    if not isinstance(text, str):
        return Condition(text, "").bind({})
    node = ScalarNode(text, Source("r", text).span(0), plain=True, places=tuple(range(len(text) + 1)))
    parsed, findings = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert parsed is not None, findings
    return parsed.bind({"event": {"data": {"home": "FCB"}}, "now": NOON})


def lowered(text: str | Expression, database: str = "sqlite") -> Lowered:
    return lower(condition_of(text), DEVICES, USERS, database)


def sql(text: str | Expression) -> str:
    dialect = sqlite.dialect()  # type: ignore[no-untyped-call]
    compiled = lowered(text).clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    return str(compiled).replace("1 = 1", "1")


def is_kept(text: str | Expression, database: str = "sqlite") -> bool:
    return str(lowered(text, database).clause) in ("true", "1 = 1")


def asked(registry: Registry, text: str | Expression, people: Sequence[dict[str, Any]]) -> list[int]:
    """The devices of these that SQL lets through, none dropped. There are a user `u` and the topics 1 and 2."""
    condition = condition_of(text)
    with registry.trial() as tx:
        add_users(tx, [{"id": "u", "attributes": {"spend": 7}, "locale": "de"}])
        add_topics(tx, ["team:FCB", "vip"], app="scores")
        add_topics(tx, ["no"], app="shop", first=3)
        add_devices(tx, people, app="scores")
        found = selected(tx, "scores", condition)
        assert found >= matching(recipients(tx, "scores"), condition)
    return sorted(found)


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.slow
def test_every_comparison_of_hard_values_is_as_in_python(registry: Registry) -> None:
    with registry.trial() as tx:
        for constant in CONSTANTS:
            questions = [Compare(comparison, FIELD, Constant(constant)) for comparison in Comparison]
            sides = [(asked, lowered(asked, registry.database), True) for asked in questions]
            sides += [(asked, lowered(Not(asked), registry.database), False) for asked in questions]
            columns = [one.clause.label(f"side_{number}") for number, (_, one, _) in enumerate(sides)]
            rows = tx.execute(select(*columns).where(DEVICES.c.app == APP).order_by(DEVICES.c.id)).all()
            for number, (asked, one, wanted) in enumerate(sides):
                for value, row in zip(VALUES, rows, strict=False):
                    matches, found = compare(asked.comparison, value, constant) is wanted, bool(row[number])
                    assert found or not matches, (value, asked)
                    # What SQL adds are numbers beside a number, and nothing else.
                    both = is_number(value) and is_number(constant)
                    assert matches or not found or (both and not one.exact), (value, asked)
                assert one.exact or is_number(constant)


@pytest.mark.slow
def test_membership_in_lists_of_hard_strings_is_exactly_as_in_python(registry: Registry) -> None:
    with registry.trial() as tx:
        for pair in itertools.pairwise(HARD_STRINGS):
            inside = In(FIELD, Constant(list(pair)))
            for expression, wanted in ((inside, True), (Not(inside), False)):
                found = selected(tx, APP, condition_of(expression))
                strings = [n for n, value in enumerate(VALUES) if isinstance(value, str)]
                expected = {n + FIRST for n in strings if (VALUES[n] in pair) is wanted}
                assert {n for n in found if n < FIRST + len(VALUES)} == expected
                assert lowered(expression, registry.database).exact


def test_fraction_beside_a_number_is_left_to_python_by_sqlite() -> None:
    # 99.99999999999999 needs 16 digits, and SQLite promises to read 15 (sqlite.org: Floating Point Numbers).
    for text in ("== 100", "!= 100", "< 100", "<= 100", "> 100", ">= 100"):
        assert not lowered(f"(device.attributes.a | default(0)) {text}").exact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'team:FCB' in device.topics", [1]),
        ("'team:FCB' not in device.topics", [2, 3]),
        ("'no' in device.topics", []),
        ("'no' not in device.topics", [1, 2, 3]),
    ],
)
def test_topic_is_looked_up_among_those_of_the_app(registry: Registry, text: str, expected: list[int]) -> None:
    assert asked(registry, text, [{"id": 1, "topics": [1]}, {"id": 2, "topics": [2]}, {"id": 3}]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user.attributes.spend == 7", [1]),
        ("user.attributes.spend is not defined", [2, 3]),
        ("user.attributes.spend | default(0) == 0", [2, 3]),
        ("not (user.attributes.spend == 7)", []),
        ("user.locale == 'de'", [1]),
        ("device.locale == 'de'", [1]),
        ("user is defined", [1, 3]),
        ("user is not defined", [2]),
        ("user.id in ['u', 'gone']", [1, 3]),
        (Compare(Comparison.EQUAL, Name("user", ("id",)), Constant(7)), []),
        (In(Name("user", ("id",)), Constant([7, 8])), []),
        (In(Name("device", ("id",)), Constant(["1"])), []),
    ],
)
def test_device_without_a_user_misses_every_name_of_a_user(
    registry: Registry, text: str | Expression, expected: list[int]
) -> None:
    assert asked(registry, text, [{"id": 1, "user": "u"}, {"id": 2}, {"id": 3, "user": "gone"}]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("device.registered_at == now", [1]),
        ("device.registered_at < now", [2]),
        ("now > device.registered_at", [2]),
        (Compare(Comparison.UNEQUAL, Name("device", ("registered_at",)), Constant("x")), []),
        (Compare(Comparison.LESS, Name("device", ("registered_at",)), Constant(NOON + timedelta(microseconds=1))),
         [1, 2]),
        (Compare(Comparison.LESS, Name("device", ("registered_at",)), Constant(NOON - timedelta(microseconds=999))),
         [2]),
    ],
)  # fmt: skip
def test_instants_are_compared_to_the_microsecond(
    registry: Registry, text: str | Expression, expected: list[int]
) -> None:
    people = [{"id": 1, "registered_at": NOON_MS}, {"id": 2, "registered_at": NOON_MS - 1}, {"id": 3}]
    assert asked(registry, text, people) == expected


KIRITIMATI = NOON.replace(hour=23).astimezone(timezone(timedelta(hours=14)))
"""An instant of the 23rd, written as one of the 24th: `now` of a preview is in the zone of the machine."""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Compare(Comparison.AT_MOST, AS_INSTANT, Constant(KIRITIMATI)), [1, 2, 3, 4]),
        (Compare(Comparison.EQUAL, FIELD, LocalDate(Constant(KIRITIMATI))), [3, 4]),
    ],
)
def test_zone_in_which_an_instant_is_written_does_not_matter(
    registry: Registry, expression: Expression, expected: list[int]
) -> None:
    texts = ["2026-11-22T00:00:00Z", "2026-11-21T12:00:00-23:59", "2026-11-22", "2026-11-24"]
    people = [{"id": n, "attributes": {"a": text}} for n, text in enumerate(texts, 1)]
    assert set(asked(registry, expression, people)) >= set(expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (Compare(Comparison.EQUAL, Default(AS_INSTANT, Constant(NOON)), Constant(NOON)), True),
        (In(Constant("oo"), AS_INSTANT), None),
        (In(AS_INSTANT, Constant(["soon"])), None),
        (Call(Function.STARTS_WITH, (AS_INSTANT, Constant("s"))), None),
    ],
)
def test_text_that_is_no_instant_is_missing_where_it_is_read_as_one(
    registry: Registry, expression: Expression, expected: bool | None
) -> None:
    person = {"id": 1, "attributes": {"a": "soon"}}
    assert condition_of(expression).evaluate({"device": person}) is expected
    is_selected = asked(registry, expression, [person]) == [1]
    assert is_selected or expected is None
    assert not is_selected or expected or not lowered(expression, registry.database).exact


@pytest.mark.parametrize(
    "text",
    [
        "event.data.home == 'FCB'",
        "event.data.nothing == 'FCB'",
        "device.attributes.x in ['a', true]",
        "user.attributes.alerts | default('x') in ['x', 'y']",
    ],
)
def test_what_is_known_is_exact(text: str) -> None:
    assert lowered(text).exact


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "text",
    [
        "device.attributes.a == 'x\\0'",
        "device.attributes.a in ['\\ud800']",
        "startswith(device.attributes.a, '\\0')",
        "'\\0' in device.attributes.a",
        "'\\0' in device.topics",
        "previous.data.x == 1",
        Compare(Comparison.EQUAL, Name("device", ("attributes",)), Constant("x")),
        Compare(Comparison.EQUAL, FIELD, Constant(2**63)),
        Compare(Comparison.EQUAL, FIELD, Constant(float("inf"))),
        Compare(Comparison.LESS, LocalDate(Constant(NOON)), Constant("2026-11-24")),
    ],
)
def test_what_the_database_cannot_be_asked_is_kept_on_both_sides(text: str | Expression, database: str) -> None:
    for expression in (condition_of(text).expression, Not(condition_of(text).expression)):
        assert is_kept(expression, database)
        assert not lowered(expression, database).exact


def test_only_the_part_without_sql_is_kept() -> None:
    both = "device.environment == 'sandbox' and device.app == 'scores'"
    assert (sql(both), lowered(both).exact) == ("devices.app = 'scores'", False)
    # Under `not` an approximation is not turned round: here nothing can be said.
    assert is_kept(Not(condition_of(both).expression))
    either = Not(condition_of("device.environment == 'sandbox' or device.app == 'scores'").expression)
    assert (sql(either), lowered(either).exact) == ("devices.app != 'scores'", False)


def test_constants_alone_are_exact() -> None:
    assert (sql(And((Constant(True),))), lowered(Constant(True)).exact) == ("1", True)
    assert (sql(Constant(None)), sql(Constant("text"))) == ("0", "0")


@pytest.mark.parametrize(
    ("counts", "is_kept_whole"),
    [([1000], False), ([1001], True), ([500, 500], False), ([600, 500], False)],
)
def test_long_lists_of_events_are_asked_in_so_far_as_there_is_room(
    registry: Registry, counts: list[int], is_kept_whole: bool
) -> None:
    lists = [Constant([f"u{number}" for number in range(count)]) for count in counts]
    expression = And(tuple(In(FIELD, one) for one in lists))
    assert is_kept(expression, registry.database) is is_kept_whole
    assert lowered(expression, registry.database).exact is (sum(counts) <= 1000)
    assert asked(registry, expression, [{"id": 1, "attributes": {"a": "u9"}}]) == [1]


@pytest.mark.slow
def test_values_of_other_types_need_more_room(registry: Registry) -> None:
    # Each becomes a term of its own, and SQLite takes no deeper tree than 1,000.
    fits, too_many = (In(FIELD, Constant([*range(count), "x"])) for count in (99, 100))
    among_names = In(FIELD, ListOf((Name("device", ("id",)), *[Constant(number) for number in range(990)])))
    assert [is_kept(one, registry.database) for one in (fits, too_many, among_names)] == [False, True, True]
    for expression in (fits, too_many, among_names):
        assert asked(registry, expression, [{"id": 1, "attributes": {"a": 97}}]) == [1]
        assert asked(registry, Not(expression), [{"id": 1, "attributes": {"a": 97}}]) in ([], [1])


def test_condition_holds_for_members_of_topics_too(registry: Registry) -> None:
    """The page of an audience of topics has its condition among its columns, not in its WHERE."""
    where = condition_of("'x' in device.attributes.a and 'team:FCB' in device.topics")
    audience = Audience(app="scores", environment="sandbox", topics=("vip",), where=where, names=where.names)
    with registry.trial() as tx:
        add_topics(tx, ["team:FCB", "vip"], app="scores")
        lists = {1: ["x"], 2: ["x"], 3: ["y", "x"], 4: ["y"]}
        add_devices(tx, [{"id": number, "attributes": {"a": one}, "topics": [2] if number == 2 else [1, 2]}
                         for number, one in lists.items()], app="scores")  # fmt: skip
        assert [one.id for one in page(tx, audience, after=0, last=100, limit=100).recipients] == [1, 3]


@pytest.mark.parametrize("comparison", Comparison)
def test_days_beyond_the_calendar_are_kept(comparison: Comparison) -> None:
    end = LocalDate(Constant(datetime.max.replace(tzinfo=UTC)))
    between = Call(Function.DAYS_BETWEEN, (LocalDate(FIELD), LocalDate(Constant(NOON))))
    for asked_for in (Compare(comparison, FIELD, end), Compare(comparison, between, Constant(4_000_000))):
        assert is_kept(asked_for)
