"""`delivery.canary`: the shards of the canary are followed by those of the rest, and the first of these is opened only
if not too many canaries were rejected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.runs import CALLED_OFF, Shard
from scheduler.planning.canaries import CanaryCounts
from scheduler.rules.rule import Canary
from scheduler.runs.context import RunContext
from scheduler.store import parts as part_rows
from scheduler.store import run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store.database import Transaction

_WORD = "canary: "
UNTESTED = "the canary was no test: nobody of it had an answer when the rest was let follow"
"""The note of a run whose canaries were held, or got nothing."""
_AGAIN = timedelta(seconds=30)
"""At the earliest after so long it is asked again whether any canary has its answer."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """No canary has its answer yet: the rest of the run begins later. `waits`: the run is in the store alone until
    then."""

    until: datetime
    waits: bool


def open_rest(tx: Transaction, run: int, canary: Canary, now: datetime) -> list[Shard]:
    """If all of the canary has its rows now, write the shards of the rest, and return them. To be called in the
    transaction that wrote the last of these rows, before it is asked whether the run is over."""
    shards = part_rows.canary_shards(tx, run)
    if shards is None or not shards.is_done or shards.has_rest or run_rows.in_state(tx, [run], *CALLED_OFF):
        return []
    rest = part_rows.rest_of(tx, run, now + canary.wait if shards.selected else now)
    shard_rows.add(tx, rest)
    return rest


def judge_canary(tx: Transaction, context: RunContext, now: datetime) -> Postponed | str | None:
    """In the transaction that is to open the first window of the rest: None if it may, else until when it waits, or why
    the run is to pause."""
    canary, run = context.campaign.canary, context.run
    assert canary is not None
    counts = part_rows.canary_counts(tx, run.seq)
    if counts.is_open():
        until = now + max(canary.wait, _AGAIN)
        part_rows.postpone_rest(tx, run.seq, until)
        return Postponed(until, waits=bool(run_ends.put_to_wait(tx, [run.seq], now)))
    if not counts.is_good(canary.max_rejects):
        return (
            f"{_WORD}{said_of(counts)}, more than {percent(canary.max_rejects)}; the rest was not sent to: "
            f"'clarion runs show {run.id}' has the reasons, 'clarion runs resume {run.id}' sends to the rest all the "
            "same, 'cancel' ends it"
        )
    shards = part_rows.canary_shards(tx, run.seq) if not counts.answered else None
    untested = shards is not None and shards.selected > 0
    run_rows.let_past_canary(tx, run.seq, note=UNTESTED if untested else None)
    return None


def said_of(counts: CanaryCounts) -> str:
    """`31 of 500 answered canaries were rejected (6.2%)`."""
    return f"{counts.rejected} of {counts.answered} answered canaries were rejected ({percent(counts.rejects)})"


def percent(share: float) -> str:
    """A share as rules write it.

    >>> percent(0.005), percent(1 / 3)
    ('0.5%', '33.33%')
    """
    return f"{share * 100:.4g}%"


def is_canary_note(note: str | None) -> bool:
    """Whether a run is paused because of its canary."""
    return note is not None and note.startswith(_WORD)
