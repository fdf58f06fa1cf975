"""docs/semantics.md on fuses and canaries: its tables are what comes of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from support.driving import Driver
from support.markdown_page import Row, read_page
from support.worlds import World, event, rule_text, settings_text

from scheduler.planning.canaries import CanaryCounts, canaries
from scheduler.runs.fuse import FuseWatch, usage_of

SECTIONS = read_page((Path(__file__).parents[2] / "docs" / "semantics.md").read_text("utf-8"))


def _rows(title: str, *heads: str) -> list[Row]:
    rows = [row for section in SECTIONS if section.title == title for row in section.rows(*heads)]
    assert rows
    return rows


def test_when_a_fuse_blows(make_world: Callable[..., World]) -> None:
    fuse = {"fuse": {"times": 10, "within": "15 minutes"}}
    world = make_world({"goal": rule_text()}, files={"settings": settings_text(limits=fuse)})
    world.ingest(event("a"))
    context = Driver(world).context(world.runs()[0])
    assert context.fuse is not None
    for row in _rows("Fuses", "at (UTC)", "devices", "total of 15 minutes", "peak before", "what happens"):
        now = datetime.fromisoformat(row.cells["at (UTC)"]).replace(tzinfo=UTC)
        devices, total = (int(row.cells[head].replace(",", "")) for head in ("devices", "total of 15 minutes"))
        peak = row.cells["peak before"].replace(",", "")
        with world.store.write() as tx:
            usage = usage_of(tx, ["goal"], context.fuse, now)
            assert usage.total + devices == total, row.line
            assert str(usage.peak or "none") == peak, row.line
            watch = FuseWatch(tx, [context], now)
            blown = watch.blown(context, devices, past_fuse=False)
            assert ("opened" if blown is None else "paused") == row.cells["what happens"], row.line
            watch.record()


def _recomputation() -> Callable[[float, str, str], bool]:
    names: dict[str, Any] = {}
    blocks = [block.text for one in SECTIONS for block in one.blocks if block.info == "python"]
    for text in blocks:
        if "def number" in text or "def is_canary" in text:
            exec(text, names)
    found: Callable[[float, str, str], bool] = names["is_canary"]
    return found


@pytest.mark.parametrize("share", [0.0001, 0.005, 0.5, 0.9999])
def test_the_recomputation_of_canaries_says_what_clarion_does(share: float) -> None:
    run, persons = UUID(int=2**100 + 7), [f"user:{number}" for number in range(2_000)]
    is_canary = _recomputation()
    assert [is_canary(share, str(run), person) for person in persons] == canaries(share, run, persons)


@pytest.mark.parametrize("row", _rows("Canaries", "run", "person"), ids=lambda row: row.code("person"))
def test_who_is_a_canary(row: Row) -> None:
    run, person = row.code("run"), row.code("person")
    number = int(row.code('number("canary/…")'), 16)
    for share in (0.005, 0.5):
        said = row.cells[f"canary at {share:.1%}".replace(".0%", "%")] == "yes"
        assert said == (number / 2**32 < share) == _recomputation()(share, run, person)
        assert said == canaries(share, UUID(run), [person])[0]


@pytest.mark.parametrize("row", _rows("Canaries", "accepted", "rejected"), ids=lambda row: row.line)
def test_what_becomes_of_the_rest(row: Row) -> None:
    accepted, rejected, waiting = (int(row.cells[head]) for head in ("accepted", "rejected", "still to be answered"))
    counts = CanaryCounts(accepted, rejected, waiting)
    if counts.is_open():
        found = "waits once more"
    else:
        found = "goes on" if counts.is_good(0.02) else "is paused"
    assert found == row.cells["what becomes of the rest"]
