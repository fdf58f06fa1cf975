"""What preview and runs say of a night: it began an hour ago in Berlin, and is over in two hours."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from clarion_command import Clarion
from support.worlds import load_workspace

from scheduler.domain.runs import RunState
from scheduler.runs.context import context_of
from scheduler.runs.opening import start_runs
from scheduler.store import runs as run_rows
from scheduler.store.database import open_store

NOW = datetime.fromtimestamp(time.time(), UTC)
MORNING = (NOW + timedelta(hours=2)).replace(second=0, microsecond=0)


@pytest.fixture
def at_night(workspace: Path, clarion: Clarion) -> Path:
    """The starter's workspace: of its readers of sports one lives in Berlin, the other in New York."""
    here = NOW.astimezone(ZoneInfo("Europe/Berlin"))
    hours = f"{{from: {here - timedelta(hours=1):%H:%M}, to: {here + timedelta(hours=2):%H:%M}}}"
    settings = workspace / "clarion.yaml"
    settings.write_text(f"{settings.read_text()}limits: {{quiet_hours: {hours}}}\n")
    assert clarion("check", "--strict").code == 0
    assert clarion("devices", "import", "samples/devices.csv").code == 0
    return workspace


def test_a_preview_counts_who_would_be_held_until_when(at_night: Path, clarion: Clarion) -> None:
    words = ("preview", "breaking-news", "--event", "samples/article.json", "--at", f"{NOW:%Y-%m-%dT%H:%M:%S%z}")
    table = [line.split() for line in clarion(*words).out.splitlines()[2:8]]
    assert table[:5] == [
        ["selected", "2"],
        ["would", "be", "sent", "1"],
        ["held", "1"],
        ["1", "quiet_hours"],
        ["1", "until", *f"{MORNING:%Y-%m-%d %H:%M:%S}".split()],
    ]
    shown = json.loads(clarion(*words, "--format", "json").out)
    assert shown["counts"] == {"selected": 2, "would_send": 1, "kept_back": 0, "held": 1, "suppressed": 0, "expired": 0}
    assert shown["held_until"] == [{"until": f"{MORNING:%Y-%m-%dT%H:%M:%SZ}", "devices": 1}]


def test_a_run_says_who_is_held_and_when_the_next_is_due(at_night: Path, clarion: Clarion) -> None:
    clarion("emit", "samples/article.json")
    loaded, store = load_workspace(at_night), open_store(f"sqlite:///{at_night / 'clarion.db'}")
    with store.read() as tx:
        (run,) = run_rows.open_runs(tx, RunState.PENDING)
    start_runs(store, [(context_of(run, loaded.campaigns[run.rule], loaded.settings), 1_000)], NOW, room=1_000)
    store.close()
    shown = clarion("runs", "show", run.id.hex).out
    said = rf"^pending +2  the next is due {MORNING:%Y-%m-%d %H:%M:%S}\n +1  held by quiet hours$"
    assert re.search(said, shown, re.MULTILINE)
    found = json.loads(clarion("runs", "show", run.id.hex, "--format", "json").out)
    assert (found["counts"]["pending"], found["deferred"]) == (2, {"quiet_hours": 1})
    assert found["next_due"] == f"{MORNING:%Y-%m-%dT%H:%M:%SZ}"
