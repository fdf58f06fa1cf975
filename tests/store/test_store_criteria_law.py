"""The law of the prefilter, on real databases: SQL never drops a match, and where it says `exact` it adds none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hard_people import APP, INSTANTS, LOCALES, TOPIC_NAMES
from hypothesis import given
from hypothesis import strategies as st
from random_conditions import attributes, conditions, registry_names
from support.registries import Registry, add_devices, add_topics, add_users, matching, recipients, selected

from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import Expression, Not
from scheduler.domain.runs import Recipient
from scheduler.store.criteria import lower
from scheduler.store.database import Transaction
from scheduler.store.tables import DEVICES, USERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # with the examples of `make test-long`

users = st.fixed_dictionaries(
    {"attributes": attributes, "locale": st.sampled_from(LOCALES), "time_zone": st.sampled_from(LOCALES)}
)
devices = st.fixed_dictionaries(
    {
        "user": st.one_of(st.none(), st.sampled_from(["u0", "u1", "nobody", ""])),
        "locale": st.sampled_from(LOCALES),
        "time_zone": st.sampled_from(LOCALES),
        "attributes": attributes,
        "registered_at": st.sampled_from(INSTANTS),
        "topics": st.sets(st.integers(1, len(TOPIC_NAMES))),
    }
)


def hold_the_law(tx: Transaction, app: str, people: Sequence[Recipient], expression: Expression) -> None:
    condition = Condition(expression, "").bind({})
    found, wanted = selected(tx, app, condition), matching(people, condition)
    dropped = [one for one in people if one.id in wanted - found]
    assert not dropped
    if lower(condition, DEVICES, USERS, tx.dialect.name).exact:
        added = [one for one in people if one.id in found - wanted]
        assert not added


@given(expression=conditions(registry_names))
def test_sql_never_drops_a_hard_person_that_matches_and_exact_sql_adds_none(
    registry: Registry, hard_people: list[Recipient], expression: Expression
) -> None:
    with registry.trial() as tx:
        for asked in (expression, Not(expression)):
            hold_the_law(tx, APP, hard_people, asked)


@given(conditions(registry_names), st.lists(users, max_size=2), st.lists(devices, min_size=1, max_size=4))
def test_sql_never_drops_a_random_person_that_matches_and_exact_sql_adds_none(
    registry: Registry, expression: Expression, people: list[dict[str, Any]], phones: list[dict[str, Any]]
) -> None:
    with registry.trial() as tx:
        add_topics(tx, TOPIC_NAMES, app="random")
        add_users(tx, [{**one, "id": f"u{number}"} for number, one in enumerate(people)])
        add_devices(tx, [{**one, "id": number} for number, one in enumerate(phones)], app="random")
        everybody = recipients(tx, "random")
        assert len(everybody) == len(phones)
        for asked in (expression, Not(expression)):
            hold_the_law(tx, "random", everybody, asked)
