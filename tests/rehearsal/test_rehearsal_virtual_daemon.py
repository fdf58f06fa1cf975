"""The daemon in virtual time does what is due when it is due, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.worlds import APP, NOW, World, event, register, register_many, rule_text, settings_text, token_of

from scheduler.apns.request import PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, Result
from scheduler.domain.clock import VirtualClock
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import RunState
from scheduler.domain.stops import StopKind
from scheduler.rehearsal.virtual_daemon import VirtualDaemon
from scheduler.runs.firing import fire, fired_occasion
from scheduler.runs.pausing import pause, resume, set_rate
from scheduler.runs.stopping import start, stop
from scheduler.store.registry_changes import DeviceChange
from scheduler.store.tables import LEDGER

BUSY = Answer(503, "ServiceUnavailable")
DAY = timedelta(days=1)
TEMPLATES = {"plain": "aps: {alert: {title: Goal}}"}


class Stage:
    """A world, a daemon in its virtual time, and what was asked of the provider at which instant."""

    def __init__(self, world: World, answers: Sequence[Result] = ()) -> None:
        assert isinstance(world.clock, VirtualClock)
        self.world = world
        self.clock = world.clock
        self.asked: list[tuple[datetime, int]] = []
        self._answers = list(answers)
        self.daemon = VirtualDaemon(world.store, world.workspace, self.clock, self.answer)

    def answer(self, request: PushRequest) -> Result:
        self.asked.append((self.clock.now(), request.device))
        return self._answers.pop(0) if self._answers else ACCEPTED_ANSWER

    @property
    def times(self) -> list[datetime]:
        return [at for at, _ in self.asked]

    def outcomes(self) -> list[tuple[int, str, str | None]]:
        with self.world.store.read() as tx:
            rows = tx.execute(select(LEDGER.c.device, LEDGER.c.outcome, LEDGER.c.reason).order_by(*LEDGER.primary_key))
            return [tuple(row) for row in rows]


Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """`make(answers, devices=…, **rule)`: a stage with one rule, `goal`."""
    made: list[World] = []

    def make_one(
        answers: Sequence[Result] = (), *, devices: int = 3, settings: str | None = None, **rule: Any
    ) -> Stage:
        rules = {"goal": rule_text(template="plain", **rule)}
        made.append(World.make(tmp_path / str(len(made)), rules, settings=settings, templates=TEMPLATES))
        register_many(made[-1].store, devices)
        return Stage(made[-1], answers)

    yield make_one
    for world in made:
        world.store.close()


def test_an_event_is_sent_at_once(make: Make) -> None:
    stage = make()
    stage.daemon.take([event("a")])
    assert stage.asked == [(NOW, 1), (NOW, 2), (NOW, 3)]
    assert stage.daemon.next_at is None
    (run,) = stage.world.runs()
    assert run.state is RunState.FINISHED
    assert stage.world.report(run).counts.accepted == 3


def test_what_is_to_be_retried_goes_when_it_is_due_however_much_time_passes_at_once(make: Make) -> None:
    stage = make([BUSY, BUSY], devices=1)
    stage.daemon.take([event("a")])
    stage.daemon.run_until(NOW + DAY)
    pause_ = timedelta(minutes=15) * 1.05
    assert stage.times == [NOW, NOW + pause_, NOW + 2 * pause_]
    assert stage.clock.now() == NOW + DAY
    assert stage.outcomes() == [(1, "accepted", None)]


def test_nothing_that_is_due_later_is_done_before(make: Make) -> None:
    stage = make([BUSY], devices=1)
    stage.daemon.take([event("a")])
    stage.daemon.run_until(NOW + timedelta(minutes=15))
    assert stage.times == [NOW]
    assert stage.daemon.next_at == NOW + timedelta(minutes=15) * 1.05


def test_slots_come_at_their_instants(make: Make) -> None:
    stage = make(devices=1, trigger={"schedule": "30 6,18 * * *", "time_zone": "Asia/Kathmandu"})
    stage.daemon.run_until(NOW + DAY)
    half_past_six = datetime(2026, 11, 20, 12, 45, tzinfo=NOW.tzinfo)
    assert stage.times == [half_past_six, half_past_six + DAY / 2]


def test_what_is_held_goes_when_the_quiet_hours_of_its_zone_are_over(make: Make) -> None:
    settings = settings_text(limits={"quiet_hours": {"from": "12:00", "to": "14:00"}})
    stage = make(devices=0, settings=settings)
    zones = ["Europe/London", "Europe/Berlin", "Asia/Tokyo"]
    changes = [DeviceChange(app=APP, token=token_of(n), time_zone=zone) for n, zone in enumerate(zones)]
    register(stage.world.store, changes)
    stage.daemon.take([event("a")])
    stage.daemon.run_until(NOW + DAY)
    hour = timedelta(hours=1)
    assert stage.asked == [(NOW, 3), (NOW + hour, 2), (NOW + 2 * hour, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("bound", ["app", "lane", "rule"])
def test_no_more_starts_than_the_rate_and_its_burst_allow_in_any_interval(make: Make, bound: str) -> None:
    app: dict[str, Any] = {"app": {"rate": "40/s"}, "lane": {"lanes": {"normal": {"rate": "40/s"}}}}.get(bound, {})
    delivery = {"rate": "40/s"} if bound == "rule" else {}
    audience = {"users": ["ann"]} if bound == "app" else None
    stage = make(devices=20, settings=settings_text(app=app), delivery=delivery, audience=audience)
    register(stage.world.store, (DeviceChange(app=APP, token=token_of(n), user="ann") for n in range(21, 24)))
    stage.daemon.take([event(f"e{n}") for n in range(10)])
    stage.daemon.run_until(NOW + DAY)
    expected = 10 * (3 if bound == "app" else 23)
    assert len(stage.times) == expected
    seconds = [(at - NOW).total_seconds() for at in stage.times]
    for first, since in enumerate(seconds):
        for last in range(first, len(seconds)):
            assert last - first + 1 <= 40 * (seconds[last] - since) + 4 + 1e-6
    assert seconds[-1] <= expected / 40 + 1


@pytest.mark.slow
def test_a_large_run_is_cut_and_read_to_its_end(make: Make) -> None:
    stage = make(devices=2_500)
    stage.daemon.take([event("a")])
    assert sorted(device for _, device in stage.asked) == list(range(1, 2_501))
    assert stage.world.runs()[0].state is RunState.FINISHED


def test_it_sees_what_others_wrote_when_it_looks(make: Make) -> None:
    stage = make(devices=1, trigger={"manual": True})
    world = stage.world
    campaign = world.workspace.campaigns["goal"]
    stage.daemon.run_until(NOW)
    fire(world.store, campaign, fired_occasion(campaign, "k", None, world.workspace.settings, NOW), None, NOW)
    stage.daemon.run_until(NOW + timedelta(seconds=1))
    assert stage.asked == []
    stage.daemon.look()
    stage.daemon.run_until(NOW + timedelta(seconds=2))
    assert stage.times == [NOW + timedelta(seconds=1)]


def test_what_is_paused_or_stopped_waits_until_it_goes_on(make: Make) -> None:
    stage = make([BUSY], devices=1)
    world = stage.world
    stop(world.store, StopKind.RULE, "goal", NOW, known=lambda: ["goal"])
    stage.daemon.look()
    stage.daemon.take([event("a")])
    stage.daemon.run_until(NOW + timedelta(minutes=1))
    assert stage.asked == []
    start(world.store, StopKind.RULE, "goal")
    stage.daemon.look()
    stage.daemon.run_until(NOW + timedelta(minutes=2))
    assert stage.times == [NOW + timedelta(minutes=1)]
    (run,) = world.runs()
    pause(world.store, run.id.hex, NOW)
    stage.daemon.look()
    stage.daemon.run_until(NOW + timedelta(hours=2))
    assert len(stage.asked) == 1
    resume(world.store, run.id.hex, NOW, apps=[APP])
    stage.daemon.look()
    stage.daemon.run_until(NOW + timedelta(hours=3))
    assert stage.times[1:] == [NOW + timedelta(hours=2)]


def test_a_rate_that_a_hand_gives_holds_from_the_look_on(make: Make) -> None:
    stage = make(devices=30, delivery={"rate": "10/s"})
    stage.daemon.take([event("a")])
    stage.daemon.run_until(NOW + timedelta(seconds=1))
    sent = len(stage.asked)
    assert 10 <= sent <= 12
    set_rate(stage.world.store, stage.world.runs()[0].id.hex, Rate.of(1000))
    stage.daemon.look()
    stage.daemon.run_until(NOW + timedelta(seconds=2))
    assert len(stage.asked) == 30


def test_another_workspace_holds_from_the_reload_on(make: Make) -> None:
    stage = make([BUSY], devices=1)
    stage.daemon.take([event("a")])
    (stage.world.folder / "rules/goal.yaml").unlink()
    stage.world.rewrite({"other": rule_text(trigger={"event": "com.example.other"})})
    stage.daemon.use(stage.world.workspace)
    stage.daemon.run_until(NOW + DAY)
    assert len(stage.asked) == 1
    assert [run.state for run in stage.world.runs()] == [RunState.PAUSED]
