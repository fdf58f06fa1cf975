"""The worked examples of docs/semantics.md on superseding, stopping and renames, executed."""

from __future__ import annotations

import json
from datetime import datetime, time
from pathlib import Path

from support.driving import Driver
from support.markdown_page import Row, read_page
from support.worlds import NOW, World, event, register_many, rule_text

from scheduler.domain.runs import Run, RunState
from scheduler.domain.stops import StopKind
from scheduler.runs.stopping import start, stop, stop_under_all_names

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"


def _rows(title: str, *heads: str) -> list[Row]:
    (section,) = (one for one in read_page(PAGE.read_text("utf-8")) if one.title == title)
    rows = section.rows(*heads)
    assert rows
    return rows


def _at(text: str) -> datetime:
    return datetime.combine(NOW.date(), time.fromisoformat(text), NOW.tzinfo)


def _occasion(run: Run) -> str:
    return run.occasion.removeprefix("test\n")


def test_which_runs_are_superseded(tmp_path: Path) -> None:
    rule = rule_text(delivery={"supersede": "game-{{ event.subject }}"})
    world = World.make(tmp_path, {"goal": rule})
    register_many(world.store, 3)
    rows = _rows("Supersede", "event", "subject", "happened at", "its run in the end")
    for row in rows:
        world.ingest(event(row.code("event"), subject=row.code("subject"), at=_at(row.cells["happened at"])))
    Driver(world).finish_everything()
    states = {_occasion(run): run.state.value for run in world.runs()}
    assert states == {row.code("event"): row.cells["its run in the end"] for row in rows}


def test_what_becomes_of_events_while_sending_is_stopped(tmp_path: Path) -> None:
    world = World.make(tmp_path, {"goal": rule_text(delivery={"max_age": "10 minutes"})})
    register_many(world.store, 1)
    for row in _rows("Stopping", "at", "what happens", "a", "b", "c"):
        world.advance((_at(row.cells["at"]) - world.now).total_seconds())
        _do(world, row.code("what happens"))
        Driver(world).finish_everything()
        seen = {_occasion(run): _outcome(world, run) for run in world.runs()}
        assert seen == {name: row.cells[name] for name in "abc" if row.cells[name]}, row.line


def test_what_becomes_of_events_while_a_stopped_rule_is_renamed(tmp_path: Path) -> None:
    rule = rule_text(delivery={"supersede": "game-{{ event.subject }}"})
    world = World.make(tmp_path, {"goal": rule})
    register_many(world.store, 1)
    for row in _rows("Renames", "at", "what happens", "a", "b", "c"):
        world.advance((_at(row.cells["at"]) - world.now).total_seconds())
        match row.codes("what happens"):
            case [old, new] if "renamed" in row.cells["what happens"]:
                (tmp_path / f"rules/{old}.yaml").unlink()
                world.rewrite({new: json.dumps(json.loads(rule) | {"renamed_from": [old]})})
                stop_under_all_names(world.store, world.workspace)
            case [id_, subject]:
                world.ingest(event(id_, subject=subject, at=world.now))
            case [command]:
                _do(world, command)
        Driver(world).finish_everything()
        seen = {_occasion(run): _outcome(world, run) for run in world.runs()}
        assert seen == {name: row.cells[name] for name in "abc" if row.cells[name]}, row.line
    assert [run.rule for run in world.runs()] == ["goal", "score", "score"]


def _do(world: World, what: str) -> None:
    command, *words = what.split()
    if command != "clarion":
        world.ingest(event(what, at=world.now))
        return
    verb, option, *names = words
    kind, name = StopKind(option.removeprefix("--")), "".join(names)
    rules = world.workspace.names
    if verb == "stop":
        stop(world.store, kind, name, world.now, known=lambda: {"sports", "goal"}, names=rules)
    else:
        start(world.store, kind, name, names=rules)


def _outcome(world: World, run: Run) -> str:
    report = world.report(run)
    if run.state is RunState.SUPERSEDED:
        return "superseded"
    if run.finished_at is None:
        return "waits"
    return "accepted" if report.counts.accepted else next(iter(report.reasons["suppressed"]))
