"""Whatever happens to runs that share persons, in any order, with crashes: nobody ever gets more than the limits say.

The oracle knows nothing of claims. It sees whom each transaction gives out and what the ledger says of them, and
counts with the calendar of `datetime`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.limits import capped, limited
from support.walking import OVER, Walk
from support.worlds import APP, NOW, World, register, set_user, token_of

from scheduler.domain.clock import VirtualClock
from scheduler.runs import ingest, opening, ranges, taking_up
from scheduler.runs.windows import Window, record_decided
from scheduler.store.database import Transaction
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import CLAIMS, EVENTS, LEDGER, RUNS, SHARDS, STOPS, USERS, WORK

ROLLING, CALENDAR, AFTER = timedelta(hours=2), "Asia/Kolkata", timedelta(seconds=2)
MOST = {"hours": 2, "days": 3}
DEVICES = 11
_GONE = ("rejected", "suppressed", "expired")


@dataclass
class Account:
    """What was given out to whom, and when; kept by hand."""

    world: World
    places: dict[tuple[str, int], tuple[datetime, set[int]]] = field(default_factory=dict)
    """By (person, run): when it was first given out, and the devices that got it or may have."""
    given: dict[tuple[str, int], set[int]] = field(default_factory=dict)
    """By (person, run) of the rule for one device, whoever was given out at any time."""

    def observe(self, tx: Transaction, windows: Sequence[Window], now: datetime) -> None:
        """In place of `record_decided`: does it, and looks at what was decided."""
        record_decided(tx, windows, now)
        self.take_out(tx)
        for window in windows:
            run = window.context.run
            for recipient in window.recipients:
                at = now.replace(microsecond=now.microsecond // 1000 * 1000)
                self.places.setdefault((recipient.person, run.seq), (at, set()))[1].add(recipient.id)
                if run.rule == "user":
                    self.given.setdefault((recipient.person, run.seq), set()).add(recipient.id)
        for window in windows:
            refused = [(window.context.run.seq, one.device, one.reason) for one in window.suppressed]
            refused += [(window.context.run.seq, one.recipient.id, one.until.reason) for one in window.deferred]
            for run, device, reason in refused:
                if str(reason).startswith("cap "):
                    self.check_full(str(reason).removeprefix("cap "), device, run, now)
        self.check(tx)

    def take_out(self, tx: Transaction) -> None:
        """Who certainly got nothing, by the ledger, or waits for another decision."""
        gone = {
            (row.run, row.device)
            for row in tx.execute(select(LEDGER))
            if row.outcome in _GONE and row.reason != "held_out" and not row.maybe_repeated
        }
        gone |= {
            (row.run, row.device)
            for row in tx.execute(select(WORK))
            if row.state == "deferred" and not row.maybe_repeated
        }
        for (person, run), (_, devices) in list(self.places.items()):
            devices -= {device for of_run, device in gone if of_run == run}
            if not devices:
                del self.places[person, run]

    def check(self, tx: Transaction) -> None:
        by_person: dict[str, list[tuple[datetime, int]]] = {}
        for (person, run), (at, _) in self.places.items():
            by_person.setdefault(person, []).append((at, run))
        rules = {row.seq: (row.rule, row.occasion_at) for row in tx.execute(select(RUNS))}
        for person, held in by_person.items():
            for at, _ in held:
                assert sum(timedelta(0) <= at - other < ROLLING for other, _ in held) <= MOST["hours"], person
                assert sum(_day(at) == _day(other) for other, _ in held) <= MOST["days"], person
            entries = [rules[run][1] for _, run in held if run in rules and rules[run][0] == "topic"]
            for number, one in enumerate(entries):
                for other in entries[:number]:
                    assert abs(one - other) >= AFTER / timedelta(milliseconds=1), (person, entries)
        for (person, run), devices in self.given.items():
            assert len(devices) == 1 or person.startswith("device:"), (person, run, devices)

    def check_full(self, cap: str, device: int, run: int, now: datetime) -> None:
        """Nobody is refused by a cap that has room."""
        person = PERSONS[device]
        others = [at for (whose, of), (at, _) in self.places.items() if whose == person and of != run]
        counted = [at for at in others if (now - at < ROLLING if cap == "hours" else _day(at) == _day(now))]
        assert len(counted) >= MOST[cap], (cap, person, others, now)


USER_OF = {number: ["ann", "ben", None][number % 3] for number in range(1, DEVICES + 1)}
PERSONS = {number: f"user:{user}" if user else f"device:{number}" for number, user in USER_OF.items()}


def _day(at: datetime) -> Any:
    """All persons of this world live in one zone."""
    return at.astimezone(ZoneInfo(CALENDAR)).date()


class CrowdedWalk(Walk):
    """A walk through hours and days."""

    def step(self) -> None:
        super().step()
        if self.chance.random() < 0.3:
            self.opt_out()
            self.take_up()

    def pass_time(self) -> None:
        self.world.advance(self.chance.choice([0.001, 1, 600, 3600, 5 * 3600]))

    def opt_out(self) -> None:
        """Somebody uses a device, or has had enough, or wants it again."""
        if self.chance.getrandbits(1):
            choice = self.chance.choice([[], ["sports"]])
            return set_user(self.world.store, self.chance.choice(["ann", "ben"]), opt_outs=choice)
        number = self.chance.randint(1, DEVICES)
        return register(self.world.store, [DeviceChange(app=APP, token=token_of(number))], now=self.world.now)


@pytest.fixture(scope="module", params=["drop", "hold"])
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    life = {"max_age": "40 days", "expires_after": "60 days"}
    key = {"supersede": "{{ event.subject }}"}
    rules = {
        "everyone": limited(audience={"everyone": True}, delivery=life | {"max_age": "20 hours"}),
        "topic": limited({"reentry": {"after": "2 s"}}, audience={"topics": ["a", "b"]}, delivery=life),
        "user": limited({"per_user": "latest"}, delivery=life | key),
    }
    text = capped(
        {"name": "hours", "max": MOST["hours"], "per": "2 hours", "then": request.param},
        {"name": "days", "max": MOST["days"], "per": "1 day", "window": "calendar", "then": request.param},
        defaults={"time_zone": CALENDAR},
    )
    world = World.make(tmp_path_factory.mktemp("crowd"), rules, settings=text)
    register(
        world.store,
        [
            DeviceChange(app=APP, token=token_of(number), user=user, topics=[["a"], ["b"], []][number % 3 - 1])
            for number, user in USER_OF.items()
        ],
    )
    yield world
    world.store.close()


@pytest.mark.slow
@settings(max_examples=settings.default.max_examples // 6)
@given(seed=st.integers(0, 2**32), length=st.integers(5, 60))
def test_nobody_gets_more_than_the_limits_say_and_nobody_is_refused_for_nothing(
    crowd: World, seed: int, length: int
) -> None:
    chance = Random(seed)
    crowd.clock = VirtualClock(NOW)
    with crowd.store.write() as tx:
        for table in (EVENTS, RUNS, SHARDS, LEDGER, WORK, USERS, STOPS, CLAIMS):
            tx.execute(delete(table))
    set_user(crowd.store, "ann")
    account = Account(crowd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "SHARD_DEVICES", chance.choice([3, 5, 100]))
        patch.setattr(opening, "record_decided", account.observe)
        patch.setattr(taking_up, "record_decided", account.observe)
        patch.setattr(ingest, "record_decided", account.observe)
        walk = CrowdedWalk(crowd, chance)
        walk.event()
        for _ in range(length):
            walk.step()
        walk.end()
    with crowd.store.read() as tx:
        account.take_out(tx)
        account.check(tx)
        held = {(row.person, row.run, row.device) for row in tx.execute(select(CLAIMS).where(CLAIMS.c.kind == "cap"))}
    assert held == {(person, run, device) for (person, run), (_, of) in account.places.items() for device in of}
    for run in crowd.runs():
        counts = crowd.report(run).counts
        assert run.state in OVER
        assert counts.pending == 0
