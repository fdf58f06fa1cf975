"""What somebody has to look at, in the log: runs that Clarion paused by itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

from scheduler.domain.runs import Run

log = logging.getLogger("clarion.engine")


def runs_paused(paused: Iterable[tuple[Run, str]]) -> None:
    """Say of runs that they were paused, each with why: of a rule the first, and how many more."""
    more: Counter[str] = Counter()
    for run, why in paused:
        if run.rule not in more:
            log.error("run.paused rule=%s run=%s why=%r", run.rule, run.id, why)
        more[run.rule] += 1
    for rule, count in more.items():
        if count > 1:
            log.error("run.paused rule=%s more=%d hint=%r", rule, count - 1, f"'clarion runs list --rule {rule}'")
