"""Urgency: which work goes first when there is more than the links can take."""

from __future__ import annotations

from enum import StrEnum


class Lane(StrEnum):
    """In order of precedence: urgent overtakes normal, normal overtakes bulk, at every window boundary."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"

    @property
    def rank(self) -> int:
        """0 goes first."""
        return _RANK[self]


_RANK = {Lane.URGENT: 0, Lane.NORMAL: 1, Lane.BULK: 2}
