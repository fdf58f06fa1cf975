from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.digests import make_digest_globe
from support.globe import Globe
from support.worlds import World, rule_text


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """`make_world(rules, **files)`, or keys of one rule called `goal`; closed when the test ends."""
    made: list[World] = []

    def make(rules: dict[str, str] | None = None, *, files: dict[str, Any] | None = None, **rule: Any) -> World:
        world = World.make(tmp_path / str(len(made)), rules or {"goal": rule_text(**rule)}, **(files or {}))
        made.append(world)
        return world

    yield make
    for world in made:
        world.store.close()


@pytest.fixture
def make_globe(tmp_path: Path) -> Iterator[Callable[..., Globe]]:
    """`make_globe(at, rules, **settings)`: devices around the world for a weekly digest; closed when the test ends."""
    made: list[Globe] = []

    def make(*args: Any, **settings: Any) -> Globe:
        made.append(make_digest_globe(tmp_path, *args, **settings))
        return made[-1]

    yield make
    for globe in made:
        globe.world.store.close()
