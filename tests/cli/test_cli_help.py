"""`--help` is the first thing that a newcomer reads: complete, with an example, and quick."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
from clarion_command import Clarion

from scheduler.cli.main import _COMMANDS, _GROUPS

COMMANDS = sorted(_COMMANDS)
UNNEEDED = ("sqlalchemy", "trio", "jinja2", "yaml", "cryptography", "alembic", "hypercorn", "h2")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_in_its_help(clarion: Clarion, command: str) -> None:
    shown = clarion(*command.split(), "--help")
    assert (shown.code, shown.err) == (0, "")
    assert f"Usage: clarion {command}" in shown.out
    assert f"\nExample: clarion {command}" in shown.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_parameter_is_explained(clarion: Clarion, command: str) -> None:
    shown = clarion(*command.split(), "--help").out
    rows = [line.strip("│ *") for line in shown.splitlines() if line.startswith("│ ")]
    assert any(" ".join(row.split()).startswith("--workspace PATH The folder with clarion.yaml.") for row in rows)
    for row in rows:
        _, gap, explained = row.partition("  ")
        assert gap, row
        assert not explained.strip().startswith("["), row
    assert "--no-" not in shown


def test_the_list_of_commands_names_all_of_them_in_a_line_each(clarion: Clarion) -> None:
    shown = clarion("--help")
    assert shown.code == 0
    for command in COMMANDS:
        group, _, word = command.rpartition(" ")
        listing = clarion(group, "--help").out if group else shown.out
        assert f"│ {word} " in listing
    assert "Begin with: clarion init campaigns" in shown.out


@pytest.mark.parametrize("words", [(), *((group,) for group in _GROUPS)], ids=str)
def test_a_command_that_is_left_out_is_wrong_use_and_shows_help_on_stderr(
    clarion: Clarion, words: tuple[str, ...]
) -> None:
    ran = clarion(*words)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: clarion" in ran.err


def test_the_version_is_the_distributions(clarion: Clarion) -> None:
    ran = clarion("--version")
    assert ran.code == 0
    assert ran.out == f"clarion {version('clarion')}\n"


@pytest.mark.slow
def test_help_imports_nothing_that_takes_long() -> None:
    script = (
        "import sys; from scheduler.cli.main import run; run(['--help']); "
        f"print(sorted(set({UNNEEDED}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
