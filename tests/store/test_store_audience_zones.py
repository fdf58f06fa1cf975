"""The zone of each person on a page of an audience: whose it is, and that nobody pays for it who does not ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from support.plans import plan_of
from support.worlds import APP, NOW, new_store, register, set_user, token_of

from scheduler.store.audience import Audience, page, recipients_by_id, recipients_named
from scheduler.store.database import Store, Transaction
from scheduler.store.person_zones import zones_statement
from scheduler.store.registry import Retirement, retire
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import DEVICES, USERS

BERLIN, LONDON, KIRITIMATI = "Europe/Berlin", "Europe/London", "Pacific/Kiritimati"
NO_ZONES = ["", "Mars/Olympus", "../../etc/passwd", "Europe", "/etc/localtime", "a\nb", "\ud7ff"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = new_store(tmp_path / "clarion.db")
    yield store
    store.close()


def seen(store: Store, number: int, user: str | None, zone: str | None, *, days_ago: int, app: str = APP) -> None:
    """Register the device `number`. Numbers must come in their order."""
    change = DeviceChange(app=app, token=token_of(number), user=user, time_zone=None)
    register(store, [change], now=NOW - timedelta(days=days_ago))
    with store.write() as tx:  # past the door, which knows zones
        tx.execute(DEVICES.update().where(DEVICES.c.id == number).values(time_zone=zone))


def zones(store: Store) -> dict[int, str | None]:
    """By device of the app, the zone of its person."""
    audience = Audience(app=APP, environment="sandbox", zones=True)
    with store.read() as tx:
        whole = page(tx, audience, after=0, last=1000, limit=1000).recipients
        again = recipients_by_id(tx, audience, [one.id for one in whole])
        named = Audience(app=APP, environment="sandbox", zones=True, users=("ann", "ben"))
        (of_users,) = recipients_named(tx, [named])
    found = {one.id: None if one.zone is None else str(one.zone) for one in whole}
    assert {number: None if one.zone is None else str(one.zone) for number, one in again.items()} == found
    assert all(found[one.id] == (None if one.zone is None else str(one.zone)) for one in of_users)
    return found


def test_own_zone_of_the_user_goes_before_those_of_devices(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=1)
    set_user(store, "ann", time_zone=LONDON)
    assert zones(store) == {1: LONDON}


def test_device_that_was_seen_last_says_the_zone_of_all(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=3)
    seen(store, 2, "ann", LONDON, days_ago=1)
    seen(store, 3, "ann", BERLIN, days_ago=2)
    seen(store, 4, "ben", BERLIN, days_ago=5)
    assert zones(store) == {1: LONDON, 2: LONDON, 3: LONDON, 4: BERLIN}


def test_of_two_that_were_seen_at_once_it_is_the_younger(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=1)
    seen(store, 2, "ann", LONDON, days_ago=1)
    assert zones(store) == {1: LONDON, 2: LONDON}


def test_device_of_another_app_counts(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=2)
    seen(store, 2, "ann", KIRITIMATI, days_ago=1, app="shop")
    assert zones(store) == {1: KIRITIMATI}


def test_retired_device_does_not_count(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=2)
    seen(store, 2, "ann", LONDON, days_ago=1)
    with store.write() as tx:
        retire(tx, [Retirement(2, "Unregistered", NOW)])
    assert zones(store) == {1: BERLIN}


def test_device_without_a_zone_does_not_hide_one_that_has_one(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=2)
    seen(store, 2, "ann", None, days_ago=1)
    assert zones(store) == {1: BERLIN, 2: BERLIN}


def test_device_of_nobody_is_its_own_person(store: Store) -> None:
    seen(store, 1, None, BERLIN, days_ago=2)
    seen(store, 2, None, None, days_ago=1)
    seen(store, 3, "ann", None, days_ago=1)
    assert zones(store) == {1: BERLIN, 2: None, 3: None}


@pytest.mark.parametrize("name", NO_ZONES)
def test_name_that_is_no_zone_counts_as_none(store: Store, name: str) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=3)
    seen(store, 2, "ann", name, days_ago=2)
    seen(store, 3, None, name, days_ago=1)
    with store.write() as tx:
        tx.execute(USERS.insert(), [{"id": "ann", "time_zone": name}])
    assert zones(store) == {1: BERLIN, 2: BERLIN, 3: None}


@contextmanager
def statements(tx: Transaction) -> Iterator[list[str]]:
    """The statements that run meanwhile."""
    ran: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: object) -> None:
        ran.append(statement)

    event.listen(tx, "before_cursor_execute", note)
    yield ran
    event.remove(tx, "before_cursor_execute", note)


@pytest.mark.parametrize(("asked", "user_zone", "queries"), [(False, None, 1), (True, None, 2), (True, LONDON, 1)])
def test_zones_cost_a_query_only_where_they_are_asked_for_and_not_said_by_users(
    store: Store, asked: bool, user_zone: str | None, queries: int
) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=1)
    set_user(store, "ann", time_zone=user_zone)
    audience = Audience(app=APP, environment="sandbox", zones=asked)
    with store.read() as tx, statements(tx) as ran:
        (only,) = page(tx, audience, after=0, last=10, limit=10).recipients
    assert len(ran) == queries
    assert (only.zone is not None) is asked


def test_zones_of_users_are_found_by_the_index_of_users(store: Store) -> None:
    seen(store, 1, "ann", BERLIN, days_ago=1)
    for users in (["ann"], [f"u{n}" for n in range(1000)]):
        with store.read() as tx:
            plan = plan_of(tx, zones_statement(users))
        assert plan[0] == "SEARCH devices USING INDEX devices_by_user (user=?)"
        assert plan[1:] == ["USE TEMP B-TREE FOR ORDER BY"]  # the few devices of these users
