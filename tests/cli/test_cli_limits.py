"""What the command line shows of limits: before a run and after it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clarion_command import Clarion
from support.driving import Driver
from support.worlds import World, load_workspace

from scheduler.store.database import open_store

CAPS = "limits: {caps: [{name: news-day, max: 1, per: 1 day}]}\n"


@pytest.fixture
def capped(workspace: Path, clarion: Clarion) -> Path:
    """The starter under a cap; everybody has had its rule once."""
    settings = workspace / "clarion.yaml"
    settings.write_text(settings.read_text() + CAPS)
    assert clarion("check", "--strict").code == 0
    assert clarion("devices", "import", "samples/devices.csv").code == 0
    assert clarion("emit", "samples/article.json").code == 0
    world = World(workspace, load_workspace(workspace), open_store(f"sqlite:///{workspace / 'clarion.db'}"))
    world.clock.advance(0)  # type: ignore[attr-defined]
    driver = Driver(world)
    driver.finish_everything()
    world.store.close()
    return workspace


ARTICLE = ("preview", "breaking-news", "--event", "samples/article.json", "--at", "2026-11-20T13:00:00+00:00")


def test_a_preview_says_how_many_a_cap_would_stop(capped: Path, clarion: Clarion) -> None:
    shown = json.loads(clarion(*ARTICLE, "--format", "json").out)
    assert (shown["counts"]["selected"], shown["counts"]["suppressed"]) == (2, 2)
    assert shown["reasons"] == {"cap news-day": 2}
    assert re.search(r"^suppressed +2$", clarion(*ARTICLE).out, re.MULTILINE)
    assert re.search(r"^ +2  cap news-day$", clarion(*ARTICLE).out, re.MULTILINE)


def test_a_preview_of_a_device_names_the_runs_that_its_person_had(capped: Path, clarion: Clarion) -> None:
    listed = json.loads(clarion("runs", "list", "--format", "json").out)[0]
    shown = json.loads(clarion(*ARTICLE, "--device", "1", "--format", "json").out)
    assert [(one["limit"], one["rule"], one["run"]) for one in shown["earlier"]] == [
        ("cap news-day", "breaking-news", listed["run"])
    ]
    printed = clarion(*ARTICLE, "--device", "1").out
    said = rf"cap news-day: this person has had\n  [\d: -]+  breaking-news  run {listed['run'][:13]}\n"
    assert re.search(said, printed)
