"""What `runs show` says of what is to come: no time that has passed, and what a run waits for besides time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from clarion_command import Clarion
from support.driving import Driver
from support.worlds import APP, World, event, register, register_many, rule_text, token_of

from scheduler.domain.stops import StopKind
from scheduler.runs.pausing import cancel, pause, resume
from scheduler.runs.stopping import stop
from scheduler.store.registry_changes import DeviceChange

MakeWorld = Callable[[str], World]
CANARY = rule_text(delivery={"canary": {"share": "25%", "wait": "5 minutes", "max_rejects": "20%"}})
DELAY = json.dumps(json.loads(rule_text(audience={"users": ["anna"]})) | {"timing": {"delay": "2 hours"}})


@pytest.fixture
def canary(make_world: MakeWorld) -> World:
    """A run whose canaries were all accepted just now: it is 12:00, and the rest begins in five minutes."""
    world = make_world(CANARY)
    register_many(world.store, 40)
    world.ingest(event("a"))
    driver = Driver(world)
    driver.start()
    (run,) = driver.work.runs.values()
    while any(not shard.is_read for shard in run.shards):
        driver.open(run, limit=1_000)
    driver.accept_all()
    driver.settle()
    return world


@pytest.fixture
def delayed(make_world: MakeWorld) -> World:
    """A run of one device that waits: it is 12:00, and its delay is over in two hours."""
    world = make_world(DELAY)
    register(world.store, [DeviceChange(app=APP, token=token_of(1), user="anna")])
    world.ingest(event("a"))
    return world


def id_of(world: World) -> str:
    return world.runs()[0].id.hex


def command(world: World) -> str:
    """What lets the run go on when it is paused."""
    return f"'clarion runs resume {str(world.runs()[0].id)[:13]}'"


def row(clarion: Clarion, world: World, name: str) -> str:
    """The line of `runs show` that begins with this word, without it."""
    (found,) = re.findall(rf"(?m)^{name} +(.*)$", clarion("runs", "show", id_of(world)).out)
    return str(found)


def rest(clarion: Clarion, world: World) -> str:
    """What is said of those who are no canaries."""
    said, _, of_rest = row(clarion, world, "canary").partition("; ")
    assert re.fullmatch(r"(\d+) devices, 0 of \1 answered canaries were rejected \(0%\)", said)
    return of_rest


def test_the_rest_of_a_canary_begins_at_a_time_until_it_is_due(canary: World, clarion: Clarion) -> None:
    assert rest(clarion, canary) == "the rest begins 2026-11-20 12:05:00"
    assert row(clarion, canary, "state") == "waiting until 2026-11-20 12:05:00"
    canary.advance(300)
    assert rest(clarion, canary) == "the rest is due now"
    assert row(clarion, canary, "state") == "waiting"


def test_the_rest_of_a_paused_canary_waits_for_a_hand(canary: World, clarion: Clarion) -> None:
    pause(canary.store, id_of(canary), canary.now)
    assert (
        rest(clarion, canary) == f"the rest waits for {command(canary)}, and begins 2026-11-20 12:05:00 at the earliest"
    )
    canary.advance(300)
    assert rest(clarion, canary) == f"the rest waits for {command(canary)}"
    resume(canary.store, id_of(canary), canary.now, apps=[APP])
    assert rest(clarion, canary) == "the rest is due now"


def test_the_rest_of_a_stopped_canary_waits_for_its_start(canary: World, clarion: Clarion) -> None:
    stop(canary.store, StopKind.RULE, "goal", canary.now, known=lambda: {"goal"})
    canary.advance(300)
    assert rest(clarion, canary) == "the rest waits for 'clarion start --rule goal'"
    assert row(clarion, canary, "state") == "waiting"
    stop(canary.store, StopKind.ALL, "", canary.now, known=lambda: set())
    pause(canary.store, id_of(canary), canary.now)
    said = f"the rest waits for {command(canary)}, 'clarion start --all' and 'clarion start --rule goal'"
    assert rest(clarion, canary) == said


def test_the_rest_of_a_cancelled_canary_gets_nothing(canary: World, clarion: Clarion) -> None:
    cancel(canary.store, id_of(canary), canary.now)
    assert rest(clarion, canary) == "the rest gets nothing"
    shown = json.loads(clarion("runs", "show", id_of(canary), "--format", "json").out)
    assert (shown["canary"]["rest_at"], shown["next_due"]) == (None, None)


def test_pending_devices_are_due_at_a_time_until_they_are_due(delayed: World, clarion: Clarion) -> None:
    assert row(clarion, delayed, "pending") == "1  the next is due 2026-11-20 14:00:00"
    delayed.advance(7200)
    assert row(clarion, delayed, "pending") == "1  the next is due now"
    assert row(clarion, delayed, "state") == "waiting"


def test_pending_devices_of_a_run_that_is_held_wait_for_a_hand(delayed: World, clarion: Clarion) -> None:
    pause(delayed.store, id_of(delayed), delayed.now)
    waits = f"1  the next waits for {command(delayed)}"
    assert row(clarion, delayed, "pending") == f"{waits}, and is due 2026-11-20 14:00:00 at the earliest"
    delayed.advance(7200)
    assert row(clarion, delayed, "pending") == waits
    resume(delayed.store, id_of(delayed), delayed.now, apps=[APP])
    stop(delayed.store, StopKind.CATEGORY, "sports", delayed.now, known=lambda: {"sports"})
    assert row(clarion, delayed, "pending") == "1  the next waits for 'clarion start --category sports'"
