from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
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
