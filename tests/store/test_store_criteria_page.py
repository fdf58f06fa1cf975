"""docs/criteria.md says the truth: each row of its tables is asked of a real SQLite and of a real PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hard_people import INSTANTS, LOCALES, VALUES
from sqlalchemy import True_
from support.parts import part_is_missing
from support.postgres import find_postgres
from support.registries import Registry, add_devices, add_topics, add_users, matching, recipients, selected

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import Constant, Expression, Not, children, names_in
from scheduler.conditions.name_checks import ROOTS
from scheduler.conditions.parse import parse_condition
from scheduler.conditions.types import Schema
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.domain.runs import Recipient
from scheduler.store.criteria import lower
from scheduler.store.tables import DEVICES, USERS

PAGE = (Path(__file__).parents[2] / "docs" / "criteria.md").read_text("utf-8")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KNOWN = {"event": {"data": {"team": "FCB", "teams": ["FCB", "BVB"], "mixed": ["FCB", 1, True]}}, "previous": None,
         "now": NOON, "slot": NOON}  # fmt: skip
ROWS = {
    condition.replace("\\|", "|"): {"sqlite": sqlite, "postgresql": postgresql}
    for condition, sqlite, postgresql in re.findall(r"^\| `(.+)` \| (\w+) \| (\w+) \|$", PAGE, re.MULTILINE)
}
APP = "page"
FIRST = 5000
INSTANT_TEXTS = ["2026-11-22T23:30:00-02:00", "2026-11-23T14:00:00+01:00", "2026-10-01T12:00:00Z", "2026-11-02"]
MISSING = object()


def bound(text: str) -> Condition:
    """A condition of the page, with what is known when a run starts."""
    node = ScalarNode(text, Source("r", text).span(0), plain=True, places=tuple(range(len(text) + 1)))
    parsed, findings = parse_condition(node, Schema.undeclared(), names=ROOTS)
    assert parsed is not None, findings
    return parsed.bind(KNOWN)


def verdict(condition: Condition, database: str) -> str:
    lowered = lower(condition, DEVICES, USERS, database)
    if lowered.exact:
        return "exact"
    return "kept" if isinstance(lowered.clause, True_) else "narrowed"


def constants(expression: Expression) -> list[object]:
    """What a condition asks for, of types that JSON has."""
    found = [constant for child in children(expression) for constant in constants(child)]
    match expression:
        case Constant(str() | int() | float() as value):
            found.append(value)
        case Constant(list() as values):
            found += values
    return found


@pytest.fixture(scope="module")
def people(registry: Registry) -> list[Recipient]:
    """Devices and users with the attributes of the page: each has every hard value, and every value of the page."""
    conditions = [bound(text).expression for text in ROWS]
    names = {name for expression in conditions for name in names_in(expression)}
    asked = {repr(value): value for expression in conditions for value in constants(expression)}
    values = [*VALUES, *asked.values(), *INSTANT_TEXTS, *[MISSING] * 20]
    chance = Random(2)
    attributes: list[dict[str, dict[str, Any]]] = [{"user": {}, "device": {}} for _ in values]
    for name in sorted(names, key=str):
        match name.keys:
            case ("attributes", *parents, key):
                for one, value in zip(attributes, chance.sample(values, len(values)), strict=True):
                    inner = one[name.root]
                    for parent in parents:
                        inner = inner.setdefault(parent, {})
                    if value is not MISSING:
                        inner[key] = value
    numbers = range(FIRST, FIRST + len(values))
    with registry.write() as tx:
        add_topics(tx, ["FCB", "vip"], app=APP, first=FIRST)
        add_users(tx, [
            {"id": f"page {number}", "attributes": one["user"], "locale": chance.choice(LOCALES)}
            for number, one in zip(numbers, attributes, strict=True)
        ])  # fmt: skip
        add_devices(tx, [
            {"id": number, "user": f"page {number}" if number % 9 else chance.choice([None, "anna"]),
             "locale": chance.choice(LOCALES), "time_zone": chance.choice(LOCALES), "attributes": one["device"],
             "registered_at": chance.choice(INSTANTS), "last_seen_at": chance.choice(INSTANTS) or 0,
             "topics": chance.sample([FIRST, FIRST + 1], chance.randrange(3))}
            for number, one in zip(numbers, attributes, strict=True)
        ], app=APP)  # fmt: skip
    with registry.trial() as tx:
        return recipients(tx, APP)


@pytest.mark.slow
def test_postgresql_is_asked_too() -> None:
    if find_postgres() is None:
        part_is_missing("postgres", "PostgreSQL is not installed, so conditions were asked of SQLite alone")


def test_page_has_its_rows() -> None:
    assert len(ROWS) == PAGE.count("\n| `") > 80


@pytest.mark.parametrize("text", ROWS)
def test_row_says_what_becomes_of_its_condition_and_of_its_opposite(text: str) -> None:
    condition = bound(text)
    negated = Condition(Not(condition.expression), "")
    assert {database: verdict(condition, database) for database in ROWS[text]} == ROWS[text]
    assert {database: verdict(negated, database) for database in ROWS[text]} == ROWS[text]


@pytest.mark.parametrize("text", ROWS)
def test_row_holds_on_the_database(registry: Registry, people: list[Recipient], text: str) -> None:
    everybody = {one.id for one in people}
    decided: set[int] = set()
    for condition in (bound(text), Condition(Not(bound(text).expression), "")):
        wanted = matching(people, condition)
        with registry.trial() as tx:
            found = selected(tx, APP, condition)
        match ROWS[text][registry.database]:
            case "exact":
                assert found == wanted
            case "narrowed":
                assert wanted <= found < everybody
            case _:
                assert found == everybody
        decided |= wanted
    assert decided  # otherwise it would be unknown for all, and the law would say nothing here
