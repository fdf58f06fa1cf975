"""The law of the prefilter, on real SQLite: SQL never drops a match, and where it says `exact` it adds none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_conditions import attributes, conditions, registry_names, strings

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import Expression, Not
from scheduler.store.audience import Audience, page
from scheduler.store.criteria import lower
from scheduler.store.database import Store, open_store
from scheduler.store.tables import DEVICES, MEMBERSHIPS, TOPICS, USERS

TOPIC_NAMES = ["team:FCB", "vip", "a", "é"]
EVERYBODY = Audience(app="scores", environment="sandbox", names=frozenset({"device", "user"}))

locales = st.sampled_from([None, "", "de", "de-AT", "a"])
users = st.fixed_dictionaries({"attributes": attributes, "locale": locales, "time_zone": locales})
devices = st.fixed_dictionaries(
    {
        "user": st.one_of(st.none(), st.sampled_from(["u0", "u1", "nobody", ""])),
        "locale": locales,
        "time_zone": locales,
        "attributes": attributes,
        "registered_at": st.sampled_from([1_795_435_200_000, 1_795_435_200_001, 0]),
        "topics": st.sets(st.integers(1, len(TOPIC_NAMES))),
    }
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder: Path = tmp_path_factory.mktemp("criteria")
    store = open_store(f"sqlite:///{folder / 'clarion.db'}")
    yield store
    store.close()


def selected_and_matching(
    store: Store, expression: Expression, people: list[dict[str, Any]], phones: list[dict[str, Any]]
) -> tuple[set[int], set[int]]:
    """Device ids that SQL lets through, and those that Python matches, of the same rows."""
    condition = Condition(expression, "").bind({})
    with store.write() as tx:
        savepoint = tx.begin_nested()
        tx.execute(TOPICS.insert(), [{"id": n, "app": "scores", "name": t} for n, t in enumerate(TOPIC_NAMES, 1)])
        rows = [
            {**p, "id": f"u{n}", "attributes": _json(p["attributes"]), "opt_outs": "[]"} for n, p in enumerate(people)
        ]
        if rows:
            tx.execute(USERS.insert(), rows)
        for number, phone in enumerate(phones, 1):
            row = {key: value for key, value in phone.items() if key != "topics"}
            row |= {"id": number, "app": "scores", "token": f"{number:02x}", "active": True, "last_seen_at": 0}
            tx.execute(DEVICES.insert(), [{**row, "attributes": _json(phone["attributes"])}])
            if phone["topics"]:
                tx.execute(MEMBERSHIPS.insert(), [{"topic": topic, "device": number} for topic in phone["topics"]])
        everybody = page(tx, EVERYBODY, after=0, last=100, limit=100).recipients
        filtered = page(tx, _where(condition), after=0, last=100, limit=100).recipients
        savepoint.rollback()
    matching = {r.id for r in everybody if condition.evaluate({"device": r.device, "user": r.user}) is True}
    assert len(everybody) == len(phones)
    return {recipient.id for recipient in filtered}, matching


def _where(condition: Condition) -> Audience:
    return Audience(app="scores", environment="sandbox", where=condition, names=condition.names)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@pytest.mark.slow
@given(conditions(registry_names), st.lists(users, max_size=2), st.lists(devices, min_size=1, max_size=4))
def test_sql_never_drops_a_match_and_exact_sql_adds_none(
    store: Store, expression: Expression, people: list[dict[str, Any]], phones: list[dict[str, Any]]
) -> None:
    selected, matching = selected_and_matching(store, expression, people, phones)
    assert selected >= matching
    if lower(Condition(expression, "").bind({}), DEVICES, USERS).exact:
        assert selected == matching


@pytest.mark.slow
@given(conditions(registry_names), strings, st.lists(devices, min_size=1, max_size=4))
def test_law_holds_for_both_sides_of_not(
    store: Store, expression: Expression, text: str, phones: list[dict[str, Any]]
) -> None:
    people = [{"attributes": {"a": text}, "locale": None, "time_zone": text}]
    selected, matching = selected_and_matching(store, Not(expression), people, phones)
    assert selected >= matching
