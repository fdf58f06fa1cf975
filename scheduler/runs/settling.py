"""Writing what became of windows: outcomes, work rows, retirements, cursors and the ends of runs, together."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from scheduler.domain.runs import CALLED_OFF, LedgerEntry, RunState, Shard, WorkEntry, WorkState
from scheduler.rules.rule import Canary
from scheduler.runs.calling_off import called_off_entry
from scheduler.runs.canary import open_rest
from scheduler.runs.claiming import give_back
from scheduler.store import ledger, registry, run_ends
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store.database import Store, Transaction
from scheduler.store.registry import Retirement
from scheduler.store.run_ends import Rest

MAX_SETTLED = 1_000
"""Outcomes in one transaction."""


@dataclass(slots=True)
class Settlement:
    """A batch of outcomes of many windows. `closed_work`: devices whose work rows these outcomes replace."""

    ledger: list[LedgerEntry] = field(default_factory=list)
    work: list[WorkEntry] = field(default_factory=list)
    closed_work: list[tuple[int, int]] = field(default_factory=list)
    retirements: list[Retirement] = field(default_factory=list)
    cursors: dict[tuple[int, int], int] = field(default_factory=dict)
    """(run, shard number) → every device up to here has its row, after this settlement."""
    perhaps_over: list[int] = field(default_factory=list)
    """Runs without an open window."""
    canaries: dict[int, Canary] = field(default_factory=dict)
    """Runs of whose canary a shard is done."""
    pauses: dict[int, str] = field(default_factory=dict)
    """Runs that are to go on only when a hand resumes them, and why."""

    @property
    def is_empty(self) -> bool:
        return not (self.ledger or self.work or self.closed_work or self.cursors or self.perhaps_over)


@dataclass(frozen=True, slots=True)
class Settled:
    """Which of `perhaps_over` are over or wait now, and the shards of the rest, of runs whose canary is done."""

    rest: Rest
    shards: dict[int, list[Shard]]


def settle(store: Store, settlement: Settlement, now: datetime, *, process: str) -> Settled:
    """One transaction. After it, the devices are final or wait as work rows; never both, never neither."""
    with store.write() as tx:
        work, called_off = _without_called_off(tx, settlement.work)
        ledger.drop_work(tx, settlement.closed_work + [(entry.run, entry.device) for entry in called_off])
        final = settlement.ledger + called_off
        ledger.record(tx, final, now)
        give_back(tx, final)
        ledger.put_work(tx, work, process)
        registry.retire(tx, settlement.retirements)
        shard_rows.advance(tx, settlement.cursors)
        for run in run_rows.in_state(tx, list(settlement.pauses), RunState.RUNNING):
            run_rows.set_states(tx, [run], RunState.PAUSED, note=settlement.pauses[run], now=now)
        shards = {run: open_rest(tx, run, canary, now) for run, canary in settlement.canaries.items()}
        return Settled(run_ends.finish(tx, settlement.perhaps_over, now), shards)


def _without_called_off(tx: Transaction, work: list[WorkEntry]) -> tuple[list[WorkEntry], list[LedgerEntry]]:
    """A run that was called off meanwhile gets no new work rows; what awaits an answer still does."""
    runs = list({entry.run for entry in work})
    states = {run: state for state in CALLED_OFF for run in run_rows.in_state(tx, runs, state)}
    if not states:
        return work, []
    stops = [entry for entry in work if entry.run in states and entry.state is not WorkState.AWAITING]
    kept = [entry for entry in work if entry.run not in states or entry.state is WorkState.AWAITING]
    return kept, [called_off_entry(entry, states[entry.run]) for entry in stops]
