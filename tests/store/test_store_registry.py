from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, func, select

from scheduler.conditions.types import FieldType, Schema, Section, ValueType
from scheduler.domain.audience import User
from scheduler.store.database import Store, Transaction, open_store
from scheduler.store.registry import (
    Found,
    RegistryCounts,
    Retirement,
    attribute_names,
    count_registry,
    delete_device,
    devices_of_user,
    erase_user,
    fetch_devices,
    find_device,
    list_devices,
    retire,
    stream_devices,
)
from scheduler.store.registry_changes import Applied, DeviceChange, Refused, UserChange, Verdict
from scheduler.store.registry_users import fetch_users, upsert_users
from scheduler.store.registry_writing import upsert_devices
from scheduler.store.tables import MEMBERSHIPS

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
OPEN = Schema.undeclared()
DECLARED = Schema(
    users=Section({"spend": FieldType(ValueType.NUMBER)}),
    devices=Section(
        {
            "alerts": FieldType(ValueType.ENUM, values=("all", "none")),
            "unread": FieldType(ValueType.INTEGER, optional=True),
        }
    ),
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'clarion.db'}")
    yield store
    store.close()


def put(
    store: Store, *changes: DeviceChange, now: datetime = NOW, schema: Schema = OPEN, registering: bool = True
) -> list[Verdict]:
    with store.write() as tx:
        return upsert_devices(tx, changes, now=now, schema=schema, registering=registering)


def find(store: Store, token: str, app: str = "scores") -> Found | None:
    with store.read() as tx:
        return find_device(tx, app, token)


def device(token: str, **fields: object) -> DeviceChange:
    return DeviceChange(app="scores", token=token, **fields)  # type: ignore[arg-type]


def test_a_new_token_becomes_a_device_with_everything_that_came_with_it(store: Store) -> None:
    change = device(
        "aa",
        user="anna",
        locale="de-AT",
        time_zone="Europe/Vienna",
        topics=["b", "a", "b"],
        attributes={"unread": 3},
        user_attributes={"name": "Zoë"},
    )
    assert put(store, change) == [Applied.CREATED]
    found = find(store, "aa")
    assert found is not None
    assert found.user == User(id="anna", attributes={"name": "Zoë"})
    assert (found.device.id, found.device.user, found.device.locale) == (1, "anna", "de-AT")
    assert (found.device.time_zone, found.device.topics) == ("Europe/Vienna", ("a", "b"))
    assert (found.device.attributes, found.device.active) == ({"unread": 3}, True)
    assert found.device.registered_at == found.device.last_seen_at == NOW


def test_absent_leaves_null_removes_and_attributes_merge_key_by_key(store: Store) -> None:
    put(store, device("aa", user="anna", locale="de", topics=["a"], attributes={"x": 1, "y": 2}))
    put(store, device("aa", attributes={"y": None, "z": 3}))
    found = find(store, "aa")
    assert found is not None
    assert (found.device.user, found.device.locale, found.device.topics) == ("anna", "de", ("a",))
    assert found.device.attributes == {"x": 1, "z": 3}
    put(store, device("aa", user=None, locale=None, topics=None))
    found = find(store, "aa")
    assert found is not None
    assert (found.device.user, found.device.locale, found.device.topics) == (None, None, ())


def test_a_list_of_topics_replaces_the_topics_of_the_device(store: Store) -> None:
    put(store, device("aa", topics=["a", "b"]), device("bb", topics=["a"]))
    put(store, device("aa", topics=["b", "c"]))
    with store.read() as tx:
        assert {found.device.token: found.device.topics for found in stream_devices(tx)} == {
            "aa": ("b", "c"),
            "bb": ("a",),
        }
        assert [found.device.token for found in list_devices(tx, topic="a")] == ["bb"]


def test_registering_counts_from_now_and_revives_and_copying_does_neither(store: Store) -> None:
    put(store, device("aa"))
    with store.write() as tx:
        assert retire(tx, [Retirement(1, "Unregistered", NOW + timedelta(hours=1))]) == 1
    assert put(store, device("aa", locale="de"), now=LATER, registering=False) == [Applied.UPDATED]
    found = find(store, "aa")
    assert found is not None
    assert (found.device.active, found.device.retired_reason) == (False, "Unregistered")
    assert (found.device.registered_at, found.device.last_seen_at) == (NOW, NOW)
    assert put(store, device("aa"), now=LATER, registering=False) == [Applied.UNCHANGED]
    assert put(store, device("aa"), now=LATER) == [Applied.UPDATED]
    found = find(store, "aa")
    assert found is not None
    assert (found.device.active, found.device.retired_reason) == (True, None)
    assert (found.device.registered_at, found.device.last_seen_at) == (LATER, LATER)


def test_a_token_that_registered_again_since_is_not_retired(store: Store) -> None:
    put(store, device("aa"), device("bb"))
    with store.write() as tx:
        dead = [Retirement(1, "Unregistered", NOW), Retirement(2, "BadDeviceToken", LATER), Retirement(9, "x", LATER)]
        assert retire(tx, dead) == 1
        assert retire(tx, dead) == 0
        assert retire(tx, []) == 0
    with store.read() as tx:
        assert [found.device.token for found in list_devices(tx, active_only=True)] == ["aa"]


def test_a_device_moves_to_the_token_that_replaces_its_own(store: Store) -> None:
    put(store, device("aa", user="anna", topics=["a"], attributes={"x": 1}))
    assert put(store, device("bb", replaces="aa", attributes={"y": 2}), now=LATER) == [Applied.UPDATED]
    assert find(store, "aa") is None
    found = find(store, "bb")
    assert found is not None
    assert (found.device.id, found.device.user, found.device.topics) == (1, "anna", ("a",))
    assert (found.device.attributes, found.device.registered_at) == ({"x": 1, "y": 2}, LATER)
    assert put(store, device("bb", replaces="aa"), registering=False) == [Applied.UNCHANGED]


def test_an_old_token_is_retired_when_the_new_one_has_a_device_already(store: Store) -> None:
    put(store, device("aa"), device("bb"))
    put(store, device("bb", replaces="aa"))
    old, new = find(store, "aa"), find(store, "bb")
    assert old is not None
    assert new is not None
    assert (old.device.active, old.device.retired_reason, new.device.active) == (False, "replaced", True)


def test_tokens_can_go_round_in_one_batch(store: Store) -> None:
    put(store, device("aa", locale="de"), device("bb", locale="en"))
    put(store, device("cc", replaces="aa"), device("aa", replaces="bb"), device("bb", replaces="cc"))
    with store.read() as tx:
        assert [(found.device.id, found.device.token, found.device.locale) for found in stream_devices(tx)] == [
            (1, "bb", "de"),
            (2, "aa", "en"),
        ]


def test_the_same_token_in_another_app_is_another_device(store: Store) -> None:
    put(store, device("aa"), DeviceChange(app="shop", token="aa"))
    with store.read() as tx:
        assert [found.device.app for found in stream_devices(tx)] == ["scores", "shop"]
        assert [found.device.app for found in list_devices(tx, app="shop")] == ["shop"]


def test_a_refused_change_names_the_field_and_changes_nothing(store: Store) -> None:
    verdicts = put(
        store,
        device("aa", attributes={"alerts": "loud"}),
        device("bb", attributes={"unread": 1}),
        device("cc", user_attributes={"spend": 1}, attributes={"alerts": "all"}),
        device("dd", user="anna", user_attributes={"spend": "much"}, attributes={"alerts": "all"}),
        device("ee", user="ben", user_attributes={"spend": 2.5}, attributes={"alerts": "all"}),
        schema=DECLARED,
    )
    assert verdicts == [
        Refused("attributes.alerts", "attributes.alerts is 'loud', not one of 'all', 'none'"),
        Refused("attributes.alerts", "attributes.alerts is missing"),
        Refused("user_attributes", "user_attributes need a user, and the device has none: give 'user'"),
        Refused("user_attributes.spend", "user_attributes.spend is 'much', not a number"),
        Applied.CREATED,
    ]
    with store.read() as tx:
        assert [found.device.token for found in stream_devices(tx)] == ["ee"]
        assert fetch_users(tx, ["anna", "ben"]).keys() == {"ben"}


def test_a_partial_update_is_checked_for_what_it_brings(store: Store) -> None:
    put(store, device("aa", attributes={"alerts": "all"}), schema=DECLARED)
    assert put(store, device("aa", attributes={"unread": 1}), schema=DECLARED) == [Applied.UPDATED]
    refused = put(store, device("aa", attributes={"alerts": None}), schema=DECLARED)
    assert refused == [Refused("attributes.alerts", "attributes.alerts must be there and is null")]


def test_users_are_merged_and_an_opt_out_needs_no_complete_profile(store: Store) -> None:
    with store.write() as tx:
        verdicts = upsert_users(
            tx,
            [
                UserChange(id="anna", opt_outs=["sports", "marketing", "sports"]),
                UserChange(id="anna", attributes={}),
                UserChange(id="anna", attributes={"spend": 3}, locale="de", time_zone="Europe/Vienna"),
                UserChange(id="anna", attributes={"spend": 3}),
            ],
            schema=DECLARED,
        )
    assert verdicts == [
        Applied.CREATED,
        Refused("attributes.spend", "attributes.spend is missing"),
        Applied.UPDATED,
        Applied.UNCHANGED,
    ]
    with store.read() as tx:
        anna = fetch_users(tx, ["anna"])["anna"]
        assert fetch_users(tx, []) == {}
    assert (anna.attributes, anna.opt_outs) == ({"spend": 3}, {"sports", "marketing"})
    assert (anna.locale, anna.time_zone) == ("de", "Europe/Vienna")
    with store.write() as tx:
        assert upsert_users(tx, [UserChange(id="anna", opt_outs=None)], schema=DECLARED) == [Applied.UPDATED]
    with store.read() as tx:
        assert fetch_users(tx, ["anna"])["anna"].opt_outs == frozenset()


def test_erasing_removes_the_user_the_devices_and_their_memberships(store: Store) -> None:
    put(store, *(device(f"a{number}", user="anna", topics=["a"]) for number in range(5)), device("bb", topics=["a"]))
    with store.write() as tx:
        upsert_users(tx, [UserChange(id="anna", locale="de")], schema=OPEN)
    steps = []
    while not steps or not steps[-1].finished:
        with store.write() as tx:
            steps.append(erase_user(tx, "anna", limit=2))
    assert [(step.devices, step.found) for step in steps] == [(2, True), (2, True), (1, True)]
    with store.write() as tx:
        assert erase_user(tx, "anna").found is False
    with store.read() as tx:
        assert [found.device.token for found in stream_devices(tx)] == ["bb"]
        assert devices_of_user(tx, "anna") == []
        assert fetch_users(tx, ["anna"]) == {}
        assert tx.execute(select(func.count()).select_from(MEMBERSHIPS)).scalar_one() == 1


def test_the_number_of_a_deleted_device_is_never_given_out_again(store: Store) -> None:
    put(store, device("aa"), device("bb"))
    with store.write() as tx:
        assert delete_device(tx, "scores", "bb")
        assert not delete_device(tx, "scores", "bb")
    put(store, device("bb"))
    with store.write() as tx:
        assert delete_device(tx, "scores", "aa")
    put(store, device("cc"))
    with store.read() as tx:
        assert [(found.device.id, found.device.token) for found in stream_devices(tx)] == [(3, "bb"), (4, "cc")]


def test_counts_know_users_by_devices_and_by_their_own_rows(store: Store) -> None:
    put(store, device("aa", user="anna", topics=["a", "b"]), device("bb", user="anna"), device("cc", user="ben"))
    with store.write() as tx:
        upsert_users(tx, [UserChange(id="ben"), UserChange(id="cleo")], schema=OPEN)
        retire(tx, [Retirement(1, "Unregistered", LATER)])
    with store.read() as tx:
        assert count_registry(tx) == RegistryCounts(devices=3, active=2, users=3, topics=2, apps=("scores",))


def test_attribute_names_are_those_that_somebody_has(store: Store) -> None:
    put(store, device("aa", user="anna", attributes={"b": 1, "a.c": 2}, user_attributes={"u": 1}), device("bb"))
    with store.read() as tx:
        assert attribute_names(tx) == (["a.c", "b"], ["u"])


def _plan(store: Store, call: Callable[[Transaction], object]) -> str:
    """How SQLite looks up what `call` asks for."""
    asked: list[tuple[str, object]] = []
    with store.write() as tx:

        def listen(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
            asked.append((statement, parameters))

        event.listen(tx, "before_cursor_execute", listen)
        call(tx)
        event.remove(tx, "before_cursor_execute", listen)
        lines = []
        for statement, parameters in asked:
            one = parameters[0] if isinstance(parameters, list) else parameters
            lines += [row.detail for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", one)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("call", "indexes"),
    [
        (lambda tx: find_device(tx, "scores", "aa"), ["devices_by_token", "memberships_by_device"]),
        (lambda tx: devices_of_user(tx, "anna"), ["devices_by_user"]),
        (lambda tx: fetch_devices(tx, [1]), ["INTEGER PRIMARY KEY (rowid=?)", "memberships_by_device"]),
        (lambda tx: list_devices(tx, after=1), ["INTEGER PRIMARY KEY (rowid>?)"]),
        (lambda tx: fetch_users(tx, ["anna"]), ["users USING PRIMARY KEY"]),
        (lambda tx: erase_user(tx, "anna"), ["devices_by_user", "memberships_by_device"]),
        (lambda tx: retire(tx, [Retirement(1, "x", NOW)]), ["INTEGER PRIMARY KEY (rowid=?)"]),
        (
            lambda tx: upsert_devices(
                tx, [device("aa", topics=["b"], replaces="zz")], now=NOW, schema=OPEN, registering=True
            ),
            ["devices_by_token (token=? AND app=?)", "topics_by_name", "memberships_by_device"],
        ),
    ],
)
def test_every_look_up_uses_an_index(store: Store, call: Callable[[Transaction], object], indexes: list[str]) -> None:
    put(store, device("aa", user="anna", topics=["a"], user_attributes={"x": 1}))
    plan = _plan(store, call)
    assert "SCAN" not in plan.replace("SCAN CONSTANT ROW", ""), plan
    for index in indexes:
        assert index in plan
