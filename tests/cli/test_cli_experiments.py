"""What the command line shows of an experiment: before a run and after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clarion_command import Clarion
from support.driving import Driver
from support.worlds import World, load_workspace

from scheduler.store.database import open_store

EXPERIMENT = """
experiment:
  salt: autumn
  variants:
    - {name: long, weight: 50}
    - {name: short, weight: 50, template: short}
"""


@pytest.fixture
def tested(workspace: Path, clarion: Clarion) -> Path:
    """The starter's rule with two variants, and its devices."""
    with (workspace / "rules/breaking-news.yaml").open("a") as rule:
        rule.write(EXPERIMENT)
    (workspace / "templates/short.yaml").write_text("aps: {alert: News}\n")
    assert clarion("check", "--strict").code == 0
    assert clarion("devices", "import", "samples/devices.csv").code == 0
    return workspace


def test_a_preview_counts_variants_and_who_is_held_out(tested: Path, clarion: Clarion) -> None:
    shown = clarion("preview", "breaking-news", "--event", "samples/article.json", "--format", "json")
    found = json.loads(shown.out)
    assert found["variants"] == {"long": 1, "short": 1}
    assert [sample["variant"] for sample in found["samples"]] == ["long", "short"]
    printed = clarion("preview", "breaking-news", "--event", "samples/article.json", "--sample", "1").out
    assert [line.split() for line in printed.splitlines()[4:6]] == [["1", "variant", "long"], ["1", "variant", "short"]]
    assert "variant long:" in printed
    with (tested / "rules/breaking-news.yaml").open("a") as rule:
        rule.write("  holdout: 100%\n")
    assert "  held_out\n" in clarion("preview", "breaking-news", "--event", "samples/article.json").out


def test_a_run_is_shown_with_what_became_of_each_variant(tested: Path, clarion: Clarion) -> None:
    clarion("emit", "samples/article.json")
    world = World(tested, load_workspace(tested), open_store(f"sqlite:///{tested}/clarion.db"))
    Driver(world).finish_everything()
    (run,) = world.runs()
    world.store.close()
    nothing = {"rejected": 0, "suppressed": 0, "expired": 0, "unknown": 0}
    assert json.loads(clarion("runs", "show", str(run.id), "--format", "json").out)["variants"] == {
        "long": {"accepted": 1, **nothing},
        "short": {"accepted": 1, **nothing},
    }
    assert clarion("runs", "show", str(run.id)).out.endswith(
        "\n"
        "variant  accepted  rejected  suppressed  expired  unknown\n"
        "long            1         0           0        0        0\n"
        "short           1         0           0        0        0\n"
    )
