"""What the README shows of the command line is what happens."""

from __future__ import annotations

import gc
import re
from pathlib import Path

from clarion_command import Clarion, replace

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_broken_rule_of_the_tour_is_told_of_as_the_readme_says(clarion: Clarion, workspace: Path) -> None:
    replace(workspace / "rules/breaking-news.yaml", "event.data.section", "event.data.sectoin")
    shown = re.search(r"\$ clarion check\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    checked = clarion("check")
    assert checked.code == 1
    assert checked.out.strip() == shown[1].strip()


def test_check_leaves_the_collector_of_cycles_as_it_was(clarion: Clarion, workspace: Path) -> None:
    assert clarion("check").code == 0
    assert gc.isenabled()
