"""What the command line says of canaries that are held: they protect nobody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from clarion_command import Clarion
from support.driving import Driver
from support.worlds import APP, World, register, register_many, rule_text, token_of

from scheduler.store.registry_changes import DeviceChange

MakeWorld = Callable[[str], World]
CANARY = {"canary": {"share": "20%", "wait": "1 minute", "max_rejects": "2%"}}
NIGHT = {"quiet_hours": {"from": "10:00", "to": "14:00"}}
"""It is noon."""
RULE = json.dumps(json.loads(rule_text(delivery=CANARY)) | {"timing": NIGHT})
GOAL = b'{"id": "e", "source": "test", "type": "com.example.goal"}'


def test_canaries_that_are_all_held_are_no_test_before_the_run_and_after_it(
    make_world: MakeWorld, clarion: Clarion
) -> None:
    world = make_world(RULE)
    register_many(world.store, 50)
    printed = clarion("preview", "goal", "--event", "-", "--sample", "0", stdin=GOAL).out
    (count,) = re.findall(
        r"(?m)^canary: (\d+) devices, all held: they hold nobody up, so this run has no test$", printed
    )
    found = json.loads(clarion("preview", "goal", "--event", "-", "--format", "json", stdin=GOAL).out)
    assert (found["canaries"], found["canaries_held"]) == (int(count), int(count))
    clarion("emit", "-", stdin=GOAL)
    driver = Driver(world)
    driver.start()
    for run in list(driver.work.runs.values()):
        while any(not shard.is_read for shard in run.shards):
            driver.open(run, limit=1_000)
    driver.settle()
    shown = clarion("runs", "show", world.runs()[0].id.hex).out
    said = f"{count} devices, none has an answer, {count} held, who hold nobody up; the rest begins 2026-11-20 12:01:00"
    assert re.search(rf"(?m)^canary +{said}$", shown), shown
    world.advance(60)
    driver.wake()
    (run,) = driver.work.runs.values()
    assert driver.open(run, limit=1_000) is not None
    driver.finish_everything()
    shown = clarion("runs", "show", world.runs()[0].id.hex).out
    no_test = "the canary was no test: nobody of it had an answer when the rest was let follow"
    assert re.search(rf"(?m)^state +\w+: {no_test}$", shown)
    assert re.search(rf"(?m)^canary +{count} devices; the rest was let follow$", shown)
    assert json.loads(clarion("runs", "show", world.runs()[0].id.hex, "--format", "json").out)["note"] == no_test


def test_some_canaries_that_are_held_are_said_beside_the_others(make_world: MakeWorld, clarion: Clarion) -> None:
    world = make_world(RULE)
    zones = [None, "Asia/Tokyo"]  # there it is evening
    register(world.store, [DeviceChange(app=APP, token=token_of(n), time_zone=zones[n % 2]) for n in range(50)])
    printed = clarion("preview", "goal", "--event", "-", "--sample", "0", stdin=GOAL).out
    assert re.search(
        r"(?m)^canary: (\d+) devices, before all others; (\d+) of them are held, and hold nobody up$", printed
    )
