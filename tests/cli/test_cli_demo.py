"""The demo ends by itself, whatever the number of its devices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
SCRIPT = str(Path(sys.executable).parent / "clarion")


@pytest.mark.parametrize(("devices", "baskets"), [(1, "1"), (300, "60")])
def test_the_demo_ends_by_itself_and_shows_what_became_of_its_runs(tmp_path: Path, devices: int, baskets: str) -> None:
    for name in ("clarion.yaml", "schema.yaml"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    for name in ("rules", "templates"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    ran = subprocess.run(
        [SCRIPT, "demo", "--devices", str(devices)],
        cwd=tmp_path, env=os.environ | {"COLUMNS": "120"}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    played = re.findall(r"(?m)^(flash-sale|goal-alert|basket-reminder) +(\d+) ", ran.stdout)
    assert played == [("flash-sale", "1"), ("goal-alert", "1"), ("basket-reminder", baskets)]
    assert "It is all still there." in ran.stdout
