"""Collecting garbage in a process that lives for weeks and must not stand still.

What is there when a daemon starts stays until it ends: modules, statements, rules. A full collection would look through
all of it again and again, each time for a tenth of a second in which nothing is sent. What comes and goes after that is
nearly all free of cycles (Python documentation: gc.freeze, gc.set_threshold).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_THRESHOLDS: Final = (10_000, 5, 20)
"""How many new objects until the young are looked through, and how many times that until the older ones are."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect seldom while the block runs, and leave out what was there before it. Of that, cycles that are let go of
    meanwhile stay: the rules of the start, after a reload."""
    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
