"""The section of docs/semantics.md about rates: its rates are read from settings, and its numbers are a bucket's."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.markdown_page import Row, read_page
from support.worlds import APP, load_workspace, rule_text, settings_text, write_workspace

from scheduler.delivery.token_bucket import TokenBucket
from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.domain.quantities import Rate

PAGE = Path(__file__).parents[2] / "docs" / "semantics.md"
(SECTION,) = [section for section in read_page(PAGE.read_text("utf-8")) if section.title == "Rates"]
ROWS = SECTION.rows("the rate", "burst", "at once")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code("the rate"))
def test_a_rate_lets_go_what_the_page_says(tmp_path: Path, row: Row) -> None:
    root = read_yaml(Source("example", f"rate: {row.code('the rate')}")).root
    assert root is not None
    write_workspace(tmp_path, {"goal": rule_text()}, settings=settings_text(app=core_value(root)))
    rate = load_workspace(tmp_path).settings.apps[APP].rate
    assert rate is not None
    found = [rate.burst, *(_most_starts(rate, within) for within in (0.0, 1.0, 10.0))]
    assert found == [int(row.cells[head]) for head in ("burst", "at once", "within 1 s", "within 10 s")]


def _most_starts(rate: Rate, seconds: float) -> int:
    """Starts of a sender who takes each token when it is there."""
    bucket, now, starts = TokenBucket(rate, 0.0), 0.0, 0
    while now <= seconds + 0.5 / rate.per_second:  # a sleeper wakes a little later than the token is there
        count = bucket.available(now)
        bucket.take(count, now)
        starts += count
        now += bucket.ready_in(now)
    return starts
