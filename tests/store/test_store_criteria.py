"""What is lowered to SQL, what is kept, and what is exact; every pair of hard values on real SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from random_conditions import HARD_NUMBERS, HARD_STRINGS
from sqlalchemy import select
from sqlalchemy.dialects import sqlite

from scheduler.conditions.condition import Condition
from scheduler.conditions.evaluation import compare
from scheduler.conditions.expressions import And, Compare, Comparison, Constant, Expression, In, Name, Not
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.store.criteria import Lowered, lower
from scheduler.store.database import Store, Transaction, open_store
from scheduler.store.tables import DEVICES, MEMBERSHIPS, TOPICS, USERS

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_MS = 1_795_435_200_000
# Sums of tenths have the long fractions that a reader of decimals gets wrong first.
NUMBERS = [*HARD_NUMBERS, *(number / 10 * 3 for number in range(1, 40)), *(1 / number for number in range(3, 40))]
VALUES: list[object] = [*HARD_STRINGS, *NUMBERS, True, False, None, [], {}, ["a"], {"b": 1}]
CONSTANTS: list[object] = [*HARD_STRINGS[:16], *NUMBERS[:50], True, False, NOON]
FIELD = Name("device", ("attributes", "a"))


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transaction]:
    """One device for each hard value, ids in the order of VALUES."""
    folder: Path = tmp_path_factory.mktemp("criteria")
    store = open_store(f"sqlite:///{folder / 'clarion.db'}")
    with store.write() as tx:
        tx.execute(DEVICES.insert(), [device(n, attributes={"a": value}) for n, value in enumerate(VALUES)])
    with store.read() as tx:
        yield tx
    store.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    yield store
    store.close()


def device(number: int, *, attributes: dict[str, object] | None = None, **columns: object) -> dict[str, object]:
    row: dict[str, object] = {"id": number, "app": "scores", "token": f"{number:04x}", "active": True, "user": None,
                              "locale": None, "registered_at": NOON_MS, "last_seen_at": NOON_MS}  # fmt: skip
    return {**row, "attributes": msgspec.json.encode(attributes or {}).decode(), **columns}


def expression_of(text: str) -> Expression:
    node = ScalarNode(text, Source("r", text).span(0), plain=True, places=tuple(range(len(text) + 1)))
    parsed, findings = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert parsed is not None, findings
    return parsed.bind({"event": {"data": {"home": "FCB"}}, "now": NOON}).expression


def lowered(condition: str | Expression) -> Lowered:
    expression = expression_of(condition) if isinstance(condition, str) else condition
    return lower(Condition(expression, "").bind({}), DEVICES, USERS)


def ids(tx: Transaction, clause: Lowered) -> list[int]:
    joined = DEVICES.outerjoin(USERS, USERS.c.id == DEVICES.c.user)
    return list(
        tx.execute(select(DEVICES.c.id).select_from(joined).where(clause.clause).order_by(DEVICES.c.id)).scalars()
    )


def sql(clause: Lowered) -> str:
    dialect = sqlite.dialect()  # type: ignore[no-untyped-call]
    return str(clause.clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace("1 = 1", "1")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("comparison", Comparison)
def test_every_comparison_of_hard_values_is_as_in_python(hard: Transaction, comparison: Comparison) -> None:
    for constant in CONSTANTS:
        expression = Compare(comparison, FIELD, Constant(constant))
        for wanted, asked in ((True, expression), (False, Not(expression))):
            clause = lowered(asked)
            selected = set(ids(hard, clause))
            matching = {n for n, value in enumerate(VALUES) if compare(comparison, value, constant) is wanted}
            assert selected >= matching, (comparison, constant, [VALUES[n] for n in matching - selected])
            # What SQL adds are fractions beside a number, and nothing else.
            added = [VALUES[n] for n in selected - matching]
            assert all(isinstance(value, float) and is_number(constant) for value in added), (constant, added)
            assert clause.exact is not is_number(constant)


def test_fraction_beside_a_number_is_left_to_python(hard: Transaction) -> None:
    # 99.99999999999999 needs 16 digits, and SQLite promises to read 15 (sqlite.org: Floating Point Numbers).
    near = VALUES.index(99.99999999999999)
    for text in ("== 100", "!= 100", "< 100", "<= 100", "> 100", ">= 100"):
        clause = lowered(f"(device.attributes.a | default(0)) {text}")
        assert near in ids(hard, clause)
        assert not clause.exact
    assert near not in ids(hard, lowered("device.attributes.a > 101"))


def test_membership_in_lists_of_hard_strings_is_exactly_as_in_python(hard: Transaction) -> None:
    for pair in itertools.pairwise(HARD_STRINGS):
        inside = In(FIELD, Constant(list(pair)))
        for expression, wanted in ((inside, True), (Not(inside), False)):
            clause = lowered(expression)
            assert clause.exact
            strings = [n for n, value in enumerate(VALUES) if isinstance(value, str)]
            assert ids(hard, clause) == [n for n in strings if (VALUES[n] in pair) is wanted]


def test_topic_is_looked_up_through_the_memberships(store: Store) -> None:
    with store.write() as tx:
        tx.execute(TOPICS.insert(), [{"id": 1, "app": "scores", "name": "team:FCB"},
                                     {"id": 2, "app": "shop", "name": "team:FCB"}])  # fmt: skip
        tx.execute(DEVICES.insert(), [device(n) for n in (1, 2, 3)])
        tx.execute(MEMBERSHIPS.insert(), [{"topic": 1, "device": 1}, {"topic": 2, "device": 2}])
        inside, outside = lowered("'team:FCB' in device.topics"), lowered("'team:FCB' not in device.topics")
        assert (inside.exact, outside.exact) == (True, True)
        assert (ids(tx, inside), ids(tx, outside)) == ([1], [2, 3])
        assert ids(tx, lowered("'no' in device.topics")) == []


def test_device_without_a_user_misses_every_name_of_a_user(store: Store) -> None:
    with store.write() as tx:
        tx.execute(USERS.insert(), [{"id": "u", "attributes": '{"spend": 7}', "opt_outs": "[]", "locale": "de"}])
        tx.execute(DEVICES.insert(), [device(1, user="u"), device(2), device(3, user="gone")])
        for text, expected in (
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
        ):
            assert ids(tx, lowered(text)) == expected, text


def test_instants_are_compared_to_the_microsecond(store: Store) -> None:
    with store.write() as tx:
        tx.execute(DEVICES.insert(), [device(1), device(2, registered_at=NOON_MS - 1)])
        assert ids(tx, lowered("device.registered_at == now")) == [1]
        assert ids(tx, lowered("device.registered_at < now")) == [2]
        assert ids(tx, lowered("now > device.registered_at")) == [2]
        assert ids(tx, lowered(Compare(Comparison.UNEQUAL, Name("device", ("registered_at",)), Constant("x")))) == []


@pytest.mark.parametrize(
    "text",
    [
        "device.attributes.alerts in ['all', 'goals']",
        "device.attributes.a.b == 'x'",
        "device.attributes['a.b'] == 'x'",
        "user.attributes.vip",
        "not user.attributes.vip",
        "device.attributes.alerts | default('all') == 'all'",
        "device.attributes.alerts | default('all', true) != 'none'",
        "user.attributes.alerts | default('x') in ['x', 'y']",
        "user.attributes.vip | default(false)",
        "device.attributes.x is defined",
        "device.attributes.x in ['a', true]",
        "device.attributes.x in []",
        "device.id > 5",
        "device.app == 'scores'",
        "device.registered_at < now",
        "event.data.home == 'FCB'",
        "event.data.nothing == 'FCB'",
    ],
)
def test_lowered_exactly(text: str) -> None:
    assert lowered(text).exact


@pytest.mark.parametrize(
    "text",
    [
        "device.attributes.größe == 'x'",
        "device.attributes['a\"b'] == 'x'",
        "device.attributes['a\\\\b'] == 'x'",
        "device.attributes[''] == 'x'",
        "device.attributes.a == user.attributes.a",
        "device.attributes.unread + 1 == 5",
        "device.language == 'de'",
        "device.environment == 'sandbox'",
        "device.attributes.fav in device.topics",
        "'x' in device.attributes.list",
        "1 in device.topics",
        "device.attributes.a == 'x\\0'",
        "device.attributes.a in ['\\ud800']",
        "'\\0' in device.topics",
        "(device.attributes.a | default(1)) + 1 == 2",
        "previous.data.x == 1",
        "device.attributes is defined",
        "device.language | default('x') == 'x'",
        "device.attributes.größe in []",
        "device.attributes.größe",
    ],
)
def test_kept_whole_is_neither_dropped_nor_exact(text: str) -> None:
    for expression in (expression_of(text), Not(expression_of(text))):
        clause = lowered(expression)
        assert not clause.exact
        assert sql(clause) == "1"


def test_only_the_part_without_sql_is_kept() -> None:
    clause = lowered("device.language == 'de' and device.app == 'scores'")
    assert (sql(clause), clause.exact) == ("devices.app == 'scores'", False)
    # Under `not` an approximation is not turned round: here nothing can be said.
    negated = lowered(Not(expression_of("device.language == 'de' and device.app == 'scores'")))
    assert (sql(negated), negated.exact) == ("1", False)
    either = lowered(Not(expression_of("device.language == 'de' or device.app == 'scores'")))
    assert (sql(either), either.exact) == ("devices.app != 'scores'", False)


def test_long_list_of_an_event_is_kept() -> None:
    many: list[object] = [f"u{n}" for n in range(1001)]
    assert not lowered(In(FIELD, Constant(many))).exact
    assert lowered(In(FIELD, Constant(many[:1000]))).exact
    assert not lowered(In(FIELD, Constant([*many, 1]))).exact


def test_constants_beyond_sql_are_kept() -> None:
    for constant in (2**63, float("inf")):
        assert not lowered(Compare(Comparison.EQUAL, FIELD, Constant(constant))).exact
    assert sql(lowered(And((Constant(True),)))) == "1"
    assert sql(lowered(Constant(None))) == "0"
