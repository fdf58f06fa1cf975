"""Taking up work rows: deciding again whoever was deferred, unsent or to be retried, and committing the intent."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.domain.outcomes import OutcomeKind, SuppressReason
from scheduler.domain.runs import LedgerEntry, Recipient, RunState, WorkEntry
from scheduler.runs.claiming import contest, give_back_of_work, take
from scheduler.runs.context import RunContext
from scheduler.runs.exits import CalledOff, called_off
from scheduler.runs.windows import MAX_WINDOW, Window, decide_window, no_longer_matching, record_decided
from scheduler.store import audience as audiences
from scheduler.store import ledger
from scheduler.store import runs as run_rows
from scheduler.store import stops as stop_rows
from scheduler.store.database import Store, Transaction
from scheduler.workspace.campaign import Campaign


@dataclass(frozen=True, slots=True)
class TakenUp:
    """Work rows of a run that were taken up as a window, and when the next one is due. No window: the run is not
    running any more, or stopped."""

    window: Window | None
    next_due: datetime | None


def take_up_work(
    store: Store, contexts: Sequence[tuple[RunContext, int]], now: datetime, *, process: str, room: int
) -> dict[int, TakenUp]:
    """Decide the due work rows of runs again and commit that they may be sent, given each with its window limit
    (devices), as far as `room` devices go; by run, what was taken up of those that were looked at. Who is no longer to
    be sent to becomes final. Whether a run is over then is the settler's to say: its first window may still be open.

    Many small runs cost a few statements together.
    """
    with store.write() as tx:
        going_on = _going_on(tx, [context for context, _ in contexts])
        taken = {context.run.seq: TakenUp(None, None) for context, _ in contexts if context.run.seq not in going_on}
        due = _due_work(tx, [one for one in contexts if one[0].run.seq in going_on], now, room)
        exits = called_off(tx, [(one.context, one.recipients) for one in due], now)
        windows = [_decide_again(one, now, exits.get(one.context.run.seq, {})) for one in due]
        claims = contest(tx, windows, now)
        for one, window in zip(due, windows, strict=True):
            window.suppressed.extend(_gone(one))
            give_back_of_work(tx, window)
        take(tx, claims)
        ledger.drop_work(tx, [(entry.run, entry.device) for window in windows for entry in window.suppressed])
        record_decided(tx, windows, now)
        sent_to = [(window.context.run.seq, recipient.id) for window in windows for recipient in window.recipients]
        ledger.intend_work(tx, sent_to, process)
        nexts = ledger.next_work_of(tx, [window.context.run.seq for window in windows])
    taken.update((one.context.run.seq, TakenUp(one, nexts.get(one.context.run.seq))) for one in windows)
    return taken


@dataclass(slots=True)
class _DueWork:
    """Due work rows of a run by device, and those of their devices that are still there and may still be meant.

    `changed_hands` are there, but the rule names its users, and theirs is none of these any more.
    """

    context: RunContext
    entries: dict[int, WorkEntry]
    recipients: list[Recipient] = field(default_factory=list)
    changed_hands: set[int] = field(default_factory=set)


def _due_work(tx: Transaction, contexts: Sequence[tuple[RunContext, int]], now: datetime, room: int) -> list[_DueWork]:
    found = ledger.due_work(tx, [context.run.seq for context, _ in contexts], now, limit=min(room, MAX_WINDOW))
    all_seen = sum(map(len, found.values())) < min(room, MAX_WINDOW)
    due: list[_DueWork] = []
    by_campaign: dict[Campaign, list[_DueWork]] = {}
    for context, limit in contexts:
        entries = found.get(context.run.seq, [])[:limit]
        if entries or all_seen:
            one = _DueWork(context, {entry.device: entry for entry in entries})
            due.append(one)
            by_campaign.setdefault(context.campaign, []).append(one)
    for alike in by_campaign.values():
        audience = replace(alike[0].context.audience, zones=any(one.context.audience.zones for one in alike))
        active = audiences.recipients_by_id(tx, audience, sorted({device for one in alike for device in one.entries}))
        for one in alike:
            users = None if one.context.audience.users is None else frozenset(one.context.audience.users)
            for device in sorted(one.entries.keys() & active.keys()):
                if users is not None and active[device].user.get("id") not in users:
                    one.changed_hands.add(device)
                    continue
                recipient = copy(active[device])  # a device may be in several runs
                recipient.attempts = one.entries[device].attempts
                recipient.maybe_repeated = one.entries[device].maybe_repeated
                one.recipients.append(recipient)
    return due


def _decide_again(due: _DueWork, now: datetime, exits: CalledOff) -> Window:
    context = due.context
    delayed = [one for one in due.recipients if due.entries[one.id].was_delayed]
    why = {**exits, **no_longer_matching(context, delayed)} if delayed else exits
    window = decide_window(_without_where(context), None, due.recipients, end=0, now=now, called_off=why)
    window.context = context
    window.from_work = True
    return window


def _gone(due: _DueWork) -> list[LedgerEntry]:
    """What becomes of the devices that are not there any more, or not the users' whom the rule names."""
    left = {recipient.id for recipient in due.recipients}
    return [
        LedgerEntry(
            entry.run,
            entry.device,
            OutcomeKind.SUPPRESSED,
            SuppressReason.USER_CHANGED if entry.device in due.changed_hands else SuppressReason.TOKEN_RETIRED,
            entry.attempts,
            entry.maybe_repeated,
        )
        for entry in due.entries.values()
        if entry.device not in left
    ]


def _going_on(tx: Transaction, contexts: Sequence[RunContext]) -> set[int]:
    """The numbers of those that may send: pause, supersede and the kill switch are read in the transaction that commits
    the intent."""
    stops = stop_rows.read(tx)
    running = run_rows.in_state(tx, [context.run.seq for context in contexts], RunState.RUNNING)
    return {
        context.run.seq
        for context in contexts
        if context.run.seq in running and not stops.hold(context.run.rule, context.run.category)
    }


def _without_where(context: RunContext) -> RunContext:
    """`where` was decided when the window opened; what asks it again after a delay says so itself."""
    return replace(context, audience=replace(context.audience, where=None))
