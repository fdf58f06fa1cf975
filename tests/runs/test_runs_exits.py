"""`timing.unless`: for whom an exit event calls the message off, by its own time, however late or early it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.driving import Driver
from support.worlds import APP, GOAL, NOW, World, event, register, rule_text, set_user, token_of

from scheduler.domain.events import Event
from scheduler.runs.exits import find_exits_of
from scheduler.store import exit_types
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import EVENTS, EXIT_TYPES, LEDGER, MISSES, RUNS, SHARDS, WORK

HOUR = timedelta(hours=1)
ORDER = "com.example.order.placed"
NAMED = {"users": ["{{ event.data.user_id }}"]}


def rule(unless: Any, *, audience: Mapping[str, Any] = NAMED, delay: str | None = "2 hours", **fields: Any) -> str:
    timing = {"unless": unless, **({"delay": delay} if delay else {}), **fields.pop("timing", {})}
    return json.dumps(json.loads(rule_text(audience=audience, **fields)) | {"timing": timing})


def made(folder: Path, *rules: str) -> World:
    """Devices 1 and 2 are ann's, 3 is ben's, 4 is nobody's, 5 is of the user `17`."""
    world = World.make(folder, {f"rule-{n}": text for n, text in enumerate(rules)})
    register(
        world.store,
        [
            DeviceChange(app=APP, token=token_of(n), user=user)
            for n, user in enumerate(["ann", "ann", "ben", None, "17"], start=1)
        ],
    )
    return world


def order(id_: str, user: Any = "ann", *, after: timedelta = HOUR, type_: str = ORDER, **fields: Any) -> Event:
    """An order so long after noon."""
    subject = fields.pop("subject", None)
    return event(id_, type_=type_, at=NOW + after, subject=subject, user_id=user, **fields)


def outcomes(world: World) -> dict[int, str]:
    """What became of each device, in whichever run: `accepted` or a reason."""
    with world.store.read() as tx:
        return {row.device: row.reason or row.outcome for row in tx.execute(select(LEDGER).order_by(LEDGER.c.run))}


EXIT, SENT = "exit_event", "accepted"


@pytest.mark.parametrize(
    ("after", "ann"),
    [
        (timedelta(seconds=-1), SENT),
        (timedelta(0), EXIT),
        (HOUR, EXIT),
        (2 * HOUR, EXIT),
        (2 * HOUR + timedelta(seconds=1), SENT),
    ],
)
def test_an_exit_event_counts_from_the_triggers_time_until_it_is_decided(
    tmp_path: Path, after: timedelta, ann: str
) -> None:
    world = made(tmp_path, rule({"event": ORDER}))
    world.ingest(event("a", user_id="ann"), event("b", user_id="ben"), order("o", after=after))
    Driver(world).finish_everything()
    assert outcomes(world) == {1: ann, 2: ann, 3: SENT}


def test_an_exit_event_that_came_before_its_trigger_was_taken_in_counts_by_its_time(tmp_path: Path) -> None:
    world = made(tmp_path, rule({"event": ORDER}))
    world.ingest(order("o", after=-HOUR / 2))
    world.ingest(event("a", at=NOW - HOUR, user_id="ann"))
    world.ingest(event("b", user_id="ann"))
    Driver(world).finish_everything()
    first, second = world.runs()
    assert world.report(first).reasons == {"suppressed": {EXIT: 2}}
    assert world.report(second).counts.accepted == 2


def test_an_exit_event_that_comes_after_the_send_changes_nothing(tmp_path: Path) -> None:
    world = made(tmp_path, rule({"event": ORDER}))
    world.ingest(event("a", user_id="ann"))
    Driver(world).finish_everything()
    world.ingest(order("o", after=HOUR))
    assert outcomes(world) == {1: SENT, 2: SENT}


@pytest.mark.parametrize(
    ("user", "who"), [("ann", {1, 2}), (17, {5}), ("17", {5}), (True, set()), (17.0, set()), (None, set()), ("", set())]
)
def test_a_user_is_a_text_or_a_whole_number_that_is_read_as_one(tmp_path: Path, user: Any, who: set[int]) -> None:
    world = made(tmp_path, rule({"event": ORDER}, audience={"everyone": True}))
    world.ingest(event("a"), order("o", user))
    Driver(world).finish_everything()
    assert {device for device, what in outcomes(world).items() if what == EXIT} == who


@pytest.mark.parametrize(("type_", "called_off"), [(ORDER, True), ("com.example.order", False), ("com.examplx", False)])
def test_a_type_may_end_in_a_star(tmp_path: Path, type_: str, called_off: bool) -> None:
    world = made(tmp_path, rule({"event": "com.example.order.*"}))
    world.ingest(event("a", user_id="ann"), order("o", type_=type_))
    Driver(world).finish_everything()
    assert outcomes(world)[1] == (EXIT if called_off else SENT)


@pytest.mark.parametrize("pattern", [ORDER, "com.example.order*"])
def test_by_subject_it_is_called_off_for_everybody(tmp_path: Path, pattern: str) -> None:
    unless = {"event": pattern, "match": "subject"}
    world = made(tmp_path, rule(unless, audience={"everyone": True}))
    world.ingest(event("a", subject="g1"), order("o", "ann", subject="g1"))
    Driver(world).finish_everything()
    assert set(outcomes(world).values()) == {EXIT}
    world.ingest(event("b", subject="g2"), order("p", "ann", subject="g1"))
    world.ingest(event("c"), order("q", "ann"))
    Driver(world).finish_everything()
    assert [world.report(run).counts.accepted for run in world.runs()] == [0, 5, 5]


def test_where_is_about_both_events_and_unknown_calls_nothing_off(tmp_path: Path) -> None:
    unless = {"event": ORDER, "where": "exit.data.basket == event.data.basket and exit.time <= now"}
    world = made(tmp_path, rule(unless))
    world.ingest(
        event("a", user_id="ann", basket="b1"), event("b", user_id="ben", basket="b2"), event("c", user_id="17")
    )
    world.ingest(order("o", "ann", basket="b1"), order("p", "ben", basket="b1"), order("q", "17", basket="b1"))
    Driver(world).finish_everything()
    assert outcomes(world) == {1: EXIT, 2: EXIT, 3: SENT, 5: SENT}


def test_any_of_several_calls_it_off(tmp_path: Path) -> None:
    world = made(tmp_path, rule([{"event": ORDER}, {"event": "com.example.left", "match": "subject"}]))
    world.ingest(*(event(user, subject=user, user_id=user) for user in ("ann", "ben", "17")))
    world.ingest(order("o", "ann"), order("p", None, type_="com.example.left", subject="ben"))
    Driver(world).finish_everything()
    assert outcomes(world) == {1: EXIT, 2: EXIT, 3: EXIT, 5: SENT}


@pytest.mark.parametrize(("minutes", "ann"), [(61, SENT), (60, EXIT), (0, EXIT)])
@pytest.mark.parametrize("room", [{}, {APP: 100}])
def test_since_looks_back_also_where_nothing_waits(
    tmp_path: Path, minutes: int, ann: str, room: dict[str, int]
) -> None:
    world = made(tmp_path, rule({"event": ORDER, "since": "1 hour before"}, delay=None))
    world.ingest(order("o", after=-timedelta(minutes=minutes)))
    driver = Driver(world)
    driver.adopt(world.ingest(event("a", user_id="ann"), event("b", user_id="ben"), room=room).windows)
    driver.finish_everything()
    assert (outcomes(world), world.now) == ({1: ann, 2: ann, 3: SENT}, NOW)


def test_large_runs_ask_for_each_window(tmp_path: Path) -> None:
    unless = {"event": ORDER, "since": "1 hour before"}
    world = made(tmp_path, rule(unless, audience={"everyone": True}, delay=None))
    world.ingest(order("o", after=-HOUR / 2), order("p", "17", after=-HOUR / 2))
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start(limit=2)
    driver.finish_everything(limit=2)
    assert outcomes(world) == {1: EXIT, 2: EXIT, 3: SENT, 4: SENT, 5: EXIT}


def test_what_is_held_for_the_night_is_called_off_in_the_night(tmp_path: Path) -> None:
    quiet = {"quiet_hours": {"from": "13:00", "to": "18:00", "then": "hold"}}
    world = made(tmp_path, rule({"event": ORDER}, timing=quiet))
    world.ingest(event("a", user_id="ann"), event("b", user_id="ben"))
    world.ingest(order("o", after=4 * HOUR))
    Driver(world).finish_everything()
    assert outcomes(world) == {1: EXIT, 2: EXIT, 3: SENT}


def test_a_rule_whose_own_events_call_it_off_reminds_after_the_last_of_them(tmp_path: Path) -> None:
    """Also of two in one instant: the later arrival."""
    world = made(tmp_path, rule({"event": GOAL}))
    world.ingest(event("a", user_id="ann"))
    world.ingest(event("d", user_id="ben"))
    world.advance(3600)
    world.ingest(event("b", user_id="ann", at=world.now), event("c", user_id="ann", at=world.now))
    Driver(world).finish_everything()
    assert [world.report(run).counts.accepted for run in world.runs()] == [0, 1, 0, 2]


def test_who_opted_out_is_that_and_not_called_off(tmp_path: Path) -> None:
    world = made(tmp_path, rule({"event": ORDER}))
    set_user(world.store, "ben", opt_outs=["sports"])
    world.ingest(event("a", user_id="ann"), event("b", user_id="ben"))
    set_user(world.store, "ann", opt_outs=["sports"])
    world.ingest(order("o", "ann"), order("p", "ben"))
    Driver(world).finish_everything()
    assert outcomes(world) == dict.fromkeys([1, 2, 3], "opted_out")


def test_a_pinned_version_finds_its_exits_after_the_rule_has_lost_them(tmp_path: Path) -> None:
    world = made(tmp_path, rule({"event": ORDER}))
    find_exits_of(world.store, world.workspace)
    world.ingest(event("a", user_id="ann"))
    world.rewrite({"rule-0": rule_text(audience=NAMED)})
    find_exits_of(world.store, world.workspace)
    world.ingest(order("o"))
    Driver(world).finish_everything()
    assert outcomes(world) == {1: EXIT, 2: EXIT}


def test_only_what_somebody_asks_for_is_stored_with_its_user(tmp_path: Path) -> None:
    world = made(tmp_path, rule([{"event": ORDER}, {"event": GOAL, "match": "subject"}]))
    world.ingest(event("a", user_id="ann"), order("o"), order("p", None), order("q", 17))
    with world.store.read() as tx:
        found = dict(tx.execute(select(EVENTS.c.id, EVENTS.c.user)).all())
    assert found == {"a": None, "o": "ann", "p": None, "q": "17"}


class TestEventsOfBefore:
    """Events that were stored before any rule asked for them by their user."""

    def world(self, folder: Path) -> World:
        world = World.make(folder, {"tested": rule_text(audience=NAMED)})
        world.ingest(*(order(f"o{n}", f"u{n % 3}", after=-HOUR) for n in range(7)), event("a", user_id="u1"))
        world.ingest(order("x", "u1", type_="com.example.other"))
        return world

    def users(self, world: World) -> list[str | None]:
        with world.store.read() as tx:
            return list(tx.execute(select(EVENTS.c.user).order_by(EVENTS.c.seq)).scalars())

    @pytest.mark.parametrize("size", [1, 3, 7, 1000])
    @pytest.mark.parametrize("pattern", [ORDER, "com.example.order.*"])
    def test_are_found_once_a_rule_asks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, pattern: str
    ) -> None:
        monkeypatch.setattr(exit_types, "MAX_WALKED", size)
        world = self.world(tmp_path)
        assert set(self.users(world)) == {None}
        world.rewrite({"tested": rule({"event": pattern})})
        find_exits_of(world.store, world.workspace)
        assert self.users(world) == [*(f"u{n % 3}" for n in range(7)), None, None]

    def test_are_walked_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        world = self.world(tmp_path)
        world.rewrite({"tested": rule([{"event": ORDER}, {"event": "com.example.other"}])})
        find_exits_of(world.store, world.workspace)
        monkeypatch.setattr(exit_types, "piece_of", None)
        written = world.store.rows_written()
        find_exits_of(world.store, world.workspace)
        assert world.store.rows_written() == written

    def test_are_found_after_an_interruption(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        world = self.world(tmp_path)
        world.rewrite({"tested": rule({"event": ORDER})})
        monkeypatch.setattr(exit_types, "MAX_WALKED", 2)
        pieces: list[int] = []
        write: Callable[..., None] = exit_types.record_piece

        def interrupted(*arguments: Any) -> None:
            pieces.append(1)
            if len(pieces) == 2:
                raise KeyboardInterrupt
            write(*arguments)

        monkeypatch.setattr(exit_types, "record_piece", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_exits_of(world.store, world.workspace)
        assert self.users(world)[:3] == ["u0", "u1", None]
        world.ingest(order("new", "u2"))
        find_exits_of(world.store, world.workspace)
        assert self.users(world) == [*(f"u{n % 3}" for n in range(7)), None, None, "u2"]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> World:
    unless = [
        {"event": ORDER, "since": "3 seconds before", "where": "exit.data.n != event.data.n"},
        {"event": "com.example.left*", "match": "subject"},
        {"event": GOAL},
    ]
    return made(tmp_path_factory.mktemp("field"), rule(unless, delay="10 s", audience={"everyone": True}))


USERS = {1: "ann", 2: "ann", 3: "ben", 5: "17"}
happenings = st.lists(
    st.tuples(
        st.sampled_from([GOAL, GOAL, ORDER, ORDER, "com.example.left", "com.example.left.early"]),
        st.integers(-6, 14),
        st.sampled_from(["ann", "ben", 17, None]),
        st.sampled_from(["g1", "g2", None]),
        st.integers(0, 1),
    ),
    max_size=12,
)


def expected(happened: Sequence[tuple[str, int, Any, str | None, int]]) -> dict[tuple[int, int], str]:
    """The oracle: by number of the goal and device, said from the words of the page and in no way clever."""
    found = {}
    for number, (type_, at, _, subject, n) in enumerate(happened):
        if type_ != GOAL or number > 100:
            continue
        decided = max(at + 10, 14)
        for device in range(1, 6):
            called_off = False
            for other, (exit_type, when, user, about, m) in enumerate(happened):
                same_user = user is not None and USERS.get(device) == str(user)
                if exit_type == ORDER and same_user and at - 3 <= when <= decided and m != n:
                    called_off = True
                if exit_type.startswith("com.example.left") and about is not None and about == subject:
                    called_off = called_off or at <= when <= decided
                if exit_type == GOAL and same_user and when <= decided and (at, number) < (when, other):
                    called_off = True
            found[number, device] = EXIT if called_off else SENT
    return found


@settings(max_examples=settings.default.max_examples // 2)
@given(happened=happenings)
def test_for_any_events_in_any_order_exactly_those_are_called_off_that_the_page_says(
    field: World, happened: list[tuple[str, int, Any, str | None, int]]
) -> None:
    with field.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK, MISSES, EXIT_TYPES):
            tx.execute(delete(table))
    start = field.now
    for number, (type_, at, user, subject, n) in enumerate(happened):
        field.ingest(
            Event(
                id=str(number),
                source="test",
                type=type_,
                subject=subject,
                time=start + timedelta(seconds=at - 14),
                data={"n": n, **({} if user is None else {"user_id": user})},
            )
        )
    Driver(field).finish_everything()
    with field.store.read() as tx:
        numbers = {run.seq: int(run.event.id) for run in field.runs() if run.event is not None}
        found = {(numbers[row.run], row.device): row.reason or row.outcome for row in tx.execute(select(LEDGER))}
    assert found == expected(happened)
