"""A daemon's garbage: what was there before is left out, and everything is as before after it."""

from __future__ import annotations

import gc

from scheduler.engine.garbage import seldom_collected


def test_what_was_there_is_left_out_while_the_block_runs_and_no_longer() -> None:
    before = gc.get_threshold()
    with seldom_collected():
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() > before
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before
