"""`preview` and `fire` promise nothing that something keeps back: they say what does, and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from clarion_command import Clarion
from support.driving import Driver
from support.worlds import World, event, register_many, rule_text, settings_text

MakeWorld = Callable[[str], World]
RULE = json.loads(rule_text())
MANUAL = RULE | {"trigger": {"manual": True}}


def twelve(make_world: MakeWorld, rule: dict[str, Any]) -> World:
    """A world with the rule and twelve devices; it is noon."""
    world = make_world(json.dumps(rule))
    register_many(world.store, 12)
    return world


def sent(at: str = "2026-11-20T12:00:00Z", id_: str = "e") -> bytes:
    """An event on its way to `clarion emit`, about a match."""
    return json.dumps({"id": id_, "source": "test", "type": "com.example.goal", "subject": "m", "time": at}).encode()


def preview(clarion: Clarion, *words: str, stdin: bytes = b"") -> tuple[list[str], list[list[str]], dict[str, Any]]:
    """What a preview remarks, the first rows of its table, and all of it as JSON."""
    asked = ("preview", "goal", *(("--event", "-") if stdin else ()), *words)
    text = clarion(*asked, stdin=stdin)
    as_json = json.loads(clarion(*asked, "--format", "json", stdin=stdin).out)
    table = [re.split(r" {2,}", line.strip()) for line in text.out.splitlines()[2:5]]
    assert as_json["note"] == ("; ".join(text.err.splitlines()) or None)
    return text.err.splitlines(), table, as_json


def kept_back(found: dict[str, Any]) -> tuple[int, int, list[str]]:
    return found["counts"]["would_send"], found["counts"]["kept_back"], found["kept_back_by"]


def test_a_run_that_goes_to_all_is_promised_without_a_remark(make_world: MakeWorld, clarion: Clarion) -> None:
    twelve(make_world, MANUAL)
    remarks, table, found = preview(clarion)
    assert (remarks, table[:2]) == ([], [["selected", "12"], ["would be sent", "12"]])
    assert kept_back(found) == (12, 0, [])
    assert clarion("fire", "goal", "--key", "k", "--yes").err == "goal (k) reaches 12 of 12 selected devices\n"


def test_an_audience_that_is_too_large_is_said_with_its_numbers(make_world: MakeWorld, clarion: Clarion) -> None:
    twelve(make_world, MANUAL | {"limits": {"audience_max": 5}})
    said = (
        "audience_max: 12 devices match, more than 5: the run would be paused in place of starting; "
        "'clarion runs resume' would start it then, or raise `limits.audience_max` of the rule before"
    )
    remarks, table, found = preview(clarion)
    assert remarks == [said]
    assert table == [["selected", "12"], ["would be sent", "0"], ["kept back", "12", "audience_max"]]
    assert kept_back(found) == (0, 12, ["audience_max"])
    fired = clarion("fire", "goal", "--key", "k", "--yes")
    assert fired.err.splitlines() == [said, "goal (k) reaches 0 of 12 selected devices: 12 kept back (audience_max)"]
    of_one, _, _ = preview(clarion, "--device", "3")
    assert of_one[0].startswith(
        "audience_max: more than 5 devices match: the run would be paused in place of starting;"
    )


def test_a_limit_of_the_workspace_is_raised_in_its_settings(make_world: MakeWorld, clarion: Clarion) -> None:
    world = twelve(make_world, MANUAL)
    world.rewrite({"goal": json.dumps(MANUAL)}, settings=settings_text(limits={"audience_max": 11}))
    assert preview(clarion)[0] == [
        "audience_max: 12 devices match, more than 11: the run would be paused in place of starting; "
        "'clarion runs resume' would start it then, or raise `limits.audience_max` of clarion.yaml before"
    ]


def test_a_stop_is_said_with_what_undoes_it(make_world: MakeWorld, clarion: Clarion) -> None:
    world = twelve(make_world, MANUAL)
    for words in (["--all"], ["--rule", "goal"], ["--category", "sports"]):
        assert clarion("stop", *words).code == 0
        world.advance(60)
    said = [
        "stopped since 2026-11-20 12:00:00: everything; the run waits until 'clarion start --all'",
        "stopped since 2026-11-20 12:02:00: category sports; the run waits until 'clarion start --category sports'",
        "stopped since 2026-11-20 12:01:00: rule goal; the run waits until 'clarion start --rule goal'",
    ]
    remarks, table, found = preview(clarion)
    assert remarks == said
    assert table[1:] == [["would be sent", "0"], ["kept back", "12", "stopped"]]
    assert kept_back(found) == (0, 12, ["stopped"])
    fired = clarion("fire", "goal", "--key", "k", "--yes")
    assert fired.err.splitlines() == [*said, "goal (k) reaches 0 of 12 selected devices: 12 kept back (stopped)"]
    for words in (["--all"], ["--rule", "goal"], ["--category", "sports"]):
        assert clarion("start", *words).code == 0
    assert preview(clarion, "--at", "2026-11-21T12:00")[0] == []


def test_a_preview_of_a_disabled_rule_says_that_nothing_starts_it(make_world: MakeWorld, clarion: Clarion) -> None:
    twelve(make_world, RULE | {"enabled": False})
    remarks, table, found = preview(clarion, stdin=sent())
    assert remarks == ["disabled: nothing starts this rule until its file says `enabled: true`"]
    assert table[2] == ["kept back", "12", "disabled"]
    assert kept_back(found) == (0, 12, ["disabled"])


def test_a_preview_of_a_late_event_names_the_run_that_supersedes_it(make_world: MakeWorld, clarion: Clarion) -> None:
    world = twelve(make_world, RULE | {"delivery": {"supersede": "{{ event.subject }}"}})
    world.ingest(event("newer", subject="m"))
    remarks, table, found = preview(clarion, stdin=sent("2026-11-20T11:00:00Z"))
    newer = world.runs()[0].id
    assert remarks == [
        f"superseded: run {newer} is newer, with the same key (`delivery.supersede`): "
        "this one would begin superseded, and send nothing"
    ]
    assert table[2] == ["kept back", "12", "superseded"]
    assert kept_back(found) == (0, 12, ["superseded"])
    assert found["superseded_by"] == str(newer)
    clarion("emit", "-", stdin=sent("2026-11-20T11:00:00Z"))
    assert world.runs()[1].note == f"superseded by run {newer}"


def test_a_firing_that_would_blow_the_fuse_is_said(make_world: MakeWorld, clarion: Clarion) -> None:
    world = twelve(make_world, MANUAL)
    world.rewrite(
        {"goal": json.dumps(MANUAL)}, settings=settings_text(limits={"fuse": {"times": 10, "within": "15 minutes"}})
    )
    assert clarion("fire", "goal", "--key", "a", "--yes").code == 0
    Driver(world).finish_everything()
    world.advance(timedelta(days=4).total_seconds())
    register_many(world.store, 1_100)
    said = clarion("fire", "goal", "--key", "b", "--yes").err.splitlines()[0]
    assert said == (
        "fuse: 0 devices in the last 15 minutes, at most 12 in 15 minutes before; it blows above 1000: "
        "this run would blow it and be paused"
    )
