"""Fixtures: `clarion` in an empty folder, and a workspace as `clarion init` makes it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clarion_command import Clarion, Ran
from support.worlds import World, settings_text

from scheduler.cli.clock import SystemClock
from scheduler.cli.main import run


@pytest.fixture
def clarion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Clarion]:
    """`clarion` in an empty folder, with nobody at the keyboard, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "250")
    time.tzset()
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str, stdin: bytes = b"") -> Ran:
        capsys.readouterr()
        with monkeypatch.context() as patched:
            patched.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = run(words)
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    yield invoke
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def workspace(clarion: Clarion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `clarion init` makes, as the current folder."""
    folder = tmp_path / "campaigns"
    assert clarion("init", str(folder)).code == 0
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def make_world(clarion: Clarion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], World]]:
    """`make_world(rule)`: the current folder has this rule `goal`; the commands have the world's clock."""
    made: list[World] = []

    def make(rule: str) -> World:
        world = World.make(tmp_path, {"goal": rule}, settings=settings_text(port=1))  # nobody listens there
        made.append(world)
        monkeypatch.setattr(SystemClock, "now", lambda _: world.now)
        return world

    yield make
    for world in made:
        world.store.close()
