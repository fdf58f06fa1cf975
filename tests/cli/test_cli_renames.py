"""A rule that was renamed, as an operator and a marketer meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from clarion_command import Clarion, replace
from support.worlds import GOAL, World, event, register_many, rule_text

from scheduler.simulator.certificates import authority

AT = "2026-11-20 12:00:00"


@pytest.fixture
def renamed(make_world: Callable[[str], World], tmp_path: Path) -> World:
    """The rule `goal`, of which a run waits to begin, is called `score` now."""
    authority(tmp_path / "ca.pem")
    world = make_world(rule_text())
    register_many(world.store, 1)
    world.ingest(event("a"))
    rename(tmp_path)
    return world


def rename(folder: Path) -> None:
    (folder / "rules" / "goal.yaml").unlink()
    (folder / "rules" / "score.yaml").write_text(json.dumps(json.loads(rule_text()) | {"renamed_from": ["goal"]}))


@pytest.mark.parametrize(("name", "other"), [("score", "goal"), ("goal", "score")])
def test_a_renamed_rule_is_stopped_and_started_by_any_of_its_names(
    renamed: World, clarion: Clarion, name: str, other: str
) -> None:
    stopped = clarion("stop", "--rule", name)
    hint = f"'clarion start --rule {name}' lets it go on"
    assert (stopped.code, stopped.err) == (0, f"rule {name} is stopped, and with it {other}; {hint}\n")
    listed = clarion("runs", "list")
    assert "stopped: rule goal" in listed.out
    assert listed.err == f"stopped since {AT}: rule score; 'clarion start --rule score' lets it go on\n"
    assert clarion("stop", "--all").code == 0
    started = clarion("start", "--all")
    assert started.err == f"everything goes on\nstill stopped: rule score (since {AT})\n"
    assert clarion("start", "--rule", other).err == f"rule {other} goes on\n"
    assert clarion("runs", "list").err == ""


def test_the_summary_of_run_names_a_stopped_rule_once_with_its_runs_of_all_names(
    renamed: World, clarion: Clarion, tmp_path: Path
) -> None:
    assert clarion("stop", "--rule", "score").code == 0
    (tmp_path / "goal.json").write_text(json.dumps({"id": "b", "source": "s", "type": GOAL}))
    assert clarion("emit", "goal.json").code == 0
    ran = clarion("run", "--until-idle")
    assert f"stopped since {AT}: rule score; 2 runs waiting; 'clarion start --rule score' lets it go on" in ran.err
    assert "rule goal" not in ran.err
    left = json.loads(clarion("run", "--until-idle", "--format", "json").out)["remaining"]["stopped"]
    assert [(one["stop"]["name"], one["runs"]) for one in left] == [("score", 2)]


@pytest.mark.parametrize("by", ["emit", "fire", "run"])
def test_what_was_stopped_before_the_rename_is_stopped_under_the_new_name(
    make_world: Callable[[str], World], clarion: Clarion, tmp_path: Path, by: str
) -> None:
    authority(tmp_path / "ca.pem")
    world = make_world(rule_text())
    register_many(world.store, 1)
    assert clarion("stop", "--rule", "goal").code == 0
    rename(tmp_path)
    replace(tmp_path / "rules" / "score.yaml", '"trigger": {', '"trigger": {"manual": true, ')
    assert clarion("runs", "list").err.endswith(f"stopped since {AT}: rule goal; 'clarion start --rule goal' lets it "
                                                "go on\n")  # fmt: skip
    if by == "emit":
        (tmp_path / "goal.json").write_text(json.dumps({"id": "b", "source": "s", "type": GOAL}))
        assert clarion("emit", "goal.json").code == 0
    elif by == "fire":
        assert clarion("fire", "score", "--yes").code == 0
    else:
        assert clarion("run", "--until-idle").code == 0
    assert clarion("runs", "list").err.endswith(f"stopped since {AT}: rule score; 'clarion start --rule score' lets it "
                                                "go on\n")  # fmt: skip


def test_a_renamed_rule_with_an_error_is_stopped_under_all_its_names_all_the_same(
    renamed: World, clarion: Clarion, tmp_path: Path
) -> None:
    replace(tmp_path / "rules" / "score.yaml", '"sports"', '"Sports!"')
    assert clarion("check").code == 1
    assert "and with it goal;" in clarion("stop", "--rule", "score").err


def test_a_name_that_no_rule_had_is_refused_with_the_names_that_there_are(renamed: World, clarion: Clarion) -> None:
    ran = clarion("stop", "--rule", "xyz")
    assert (ran.code, ran.err) == (2, "error: there is no rule 'xyz'\n  hint: the rules are goal, score\n")
