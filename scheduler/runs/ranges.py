"""The ranges of device ids that a run's shards are about."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

SHARD_DEVICES = 250_000
"""Device ids in a range."""


def ranges(highest: int) -> Iterator[tuple[int, int]]:
    """(after, last) of each, up to the highest device id."""
    return pairwise([*range(0, highest, SHARD_DEVICES), highest])
