"""What runs did, in numbers that add up: selected = accepted + rejected + suppressed + expired + unknown + pending."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.errors import OperatorError
from scheduler.domain.outcomes import OutcomeKind
from scheduler.domain.runs import CALLED_OFF, Run
from scheduler.planning.canaries import CanaryCounts
from scheduler.store import ledger
from scheduler.store import parts as part_rows
from scheduler.store import runs as run_rows
from scheduler.store import shards as shard_rows
from scheduler.store.database import Store, Transaction


@dataclass(frozen=True, slots=True)
class Counts:
    """Devices of a run. `pending` are those that are not final: in an open window, or waiting as work rows."""

    selected: int
    accepted: int
    rejected: int
    suppressed: int
    expired: int
    unknown: int
    pending: int


@dataclass(frozen=True, slots=True)
class CanaryReport:
    """How the canary of a run stands: the devices that it selected, and, as long as nobody of the rest was selected,
    what became of them. `rest_at`: the rest begins then at the earliest; None: that is not known yet, or it never does.
    `passed`: the rest was let follow."""

    selected: int
    counts: CanaryCounts | None
    rest_at: datetime | None
    passed: bool


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run and what became of its devices. `reasons` counts by outcome and reason, `variants` by name and outcome.

    `deferred`: of the pending, those that are decided again later, by reason. `next_due`: when the next pending one may
    go, or what the run waits for is due: its next zone, say, of which nobody is selected yet.
    """

    run: Run
    counts: Counts
    maybe_repeated: int
    reasons: dict[str, dict[str, int]]
    variants: dict[str, dict[str, int]]
    deferred: dict[str, int]
    next_due: datetime | None
    canary: CanaryReport | None


def find_run(tx: Transaction, prefix: str) -> Run:
    """The run whose id begins with these hex digits. OperatorError if there is none, or more than one."""
    digits = prefix.replace("-", "").lower()
    if not digits or len(digits) > 32 or any(digit not in "0123456789abcdef" for digit in digits):
        raise OperatorError(f"{prefix!r} is not a run's id", hint="'clarion runs list' shows them")
    found = run_rows.by_id_prefix(tx, digits)
    if not found:
        raise OperatorError(f"there is no run {prefix}", hint="'clarion runs list' shows them")
    if len(found) > 1:
        ids = ", ".join(str(run.id) for run in found)
        raise OperatorError(f"{prefix} is the beginning of several runs: {ids}", hint="give more digits")
    return found[0]


def report(store: Store, prefix: str) -> RunReport:
    """The report of the run whose id begins with `prefix`."""
    with store.read() as tx:
        return report_of(tx, find_run(tx, prefix))


def report_of(tx: Transaction, run: Run) -> RunReport:
    """Everything in one snapshot, so that the numbers belong together."""
    by_kind = dict.fromkeys(OutcomeKind, 0)
    reasons: dict[str, dict[str, int]] = {}
    for tally in ledger.tallies(tx, run.seq):
        by_kind[OutcomeKind(tally.outcome)] += tally.count
        if tally.reason is not None:
            reasons.setdefault(tally.outcome, {})[tally.reason] = tally.count
    selected = shard_rows.selected_by_shards(tx, run.seq) if run.sharded else run.selected
    counts = Counts(
        selected=selected,
        accepted=by_kind[OutcomeKind.ACCEPTED],
        rejected=by_kind[OutcomeKind.REJECTED],
        suppressed=by_kind[OutcomeKind.SUPPRESSED],
        expired=by_kind[OutcomeKind.EXPIRED],
        unknown=by_kind[OutcomeKind.UNKNOWN],
        pending=selected - sum(by_kind.values()),
    )
    return RunReport(
        run,
        counts,
        ledger.maybe_repeated(tx, run.seq),
        reasons,
        ledger.variant_tallies(tx, run.seq),
        deferred=ledger.deferred_tallies(tx, run.seq),
        next_due=ledger.next_work(tx, run.seq) if run.waits_until is None else run.waits_until,
        canary=_canary(tx, run) if run.sharded else None,
    )


def _canary(tx: Transaction, run: Run) -> CanaryReport | None:
    shards = part_rows.canary_shards(tx, run.seq)
    if shards is None:
        return None
    counts = None if run.past_canary else part_rows.canary_counts(tx, run.seq)
    rest_at = None if run.state in CALLED_OFF else shards.rest_at
    return CanaryReport(shards.selected, counts, rest_at, run.past_canary)
