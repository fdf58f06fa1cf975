"""`timing.unless`: whom an event calls the message off for, and how such events are found by their user.

It is asked when a send is decided, not when the event comes: an exit event costs nothing but its user in an index, and
counts by its time, also if it was there before the event that starts the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from scheduler.domain.outcomes import SuppressReason
from scheduler.domain.runs import Recipient
from scheduler.rules.timing import Exit, ExitMatch
from scheduler.runs.context import RunContext, event_scope
from scheduler.store import exit_events, exit_types
from scheduler.store.database import Store, Transaction
from scheduler.store.exit_events import StoredEvent
from scheduler.workspace.loading import Workspace

Part: TypeAlias = tuple[RunContext, Sequence[Recipient]]
"""A run, and those of its devices that are decided now."""
CalledOff: TypeAlias = Mapping[int, SuppressReason]
"""By device, why what it waited for is not sent."""


def find_exits_of(store: Store, workspace: Workspace) -> None:
    """Have the exit events of a workspace's rules found by their users, those of before too. Whoever starts rules calls
    it first: for types that were asked for before it is one look. It may be interrupted: the next one goes on."""
    with store.read() as tx:
        if exit_types.exit_types(tx) >= workspace.exit_types and exit_types.next_walk(tx) is None:
            return
    with store.write() as tx:
        exit_types.add_exit_types(tx, workspace.exit_types)
    while True:
        with store.read() as tx:
            walk = exit_types.next_walk(tx)
            if walk is None:
                return
            piece = exit_types.piece_of(tx, walk)
        with store.write() as tx:
            exit_types.record_piece(tx, walk, piece)


def called_off(tx: Transaction, parts: Sequence[Part], now: datetime) -> dict[int, dict[int, SuppressReason]]:
    """By run, of which devices an exit event calls the message off. Runs whose delay is not over are not asked.

    Many runs share a query: what is asked for together is one `unless` of one rule version.
    """
    by_exit: dict[Exit, list[Part]] = {}
    for context, recipients in parts:
        for one in () if context.is_delayed(now) else context.campaign.exits:
            by_exit.setdefault(one, []).append((context, recipients))
    found: dict[int, dict[int, SuppressReason]] = {}
    for one, asked in by_exit.items():
        match one.match:
            case ExitMatch.USER:
                devices = _by_users(tx, one, asked, now)
            case ExitMatch.SUBJECT:
                devices = _by_subjects(tx, one, asked, now)
        for run, device in devices:
            found.setdefault(run, {})[device] = SuppressReason.EXIT_EVENT
    return found


def _by_users(tx: Transaction, one: Exit, parts: Sequence[Part], now: datetime) -> list[tuple[int, int]]:
    users = {user for _, recipients in parts for recipient in recipients if (user := _user(recipient)) is not None}
    since = min(_since(one, context) for context, _ in parts)
    events = exit_events.of_users(tx, users, one.event, since=since, until=now)
    return [
        (context.run.seq, recipient.id)
        for context, recipients in (parts if events else ())
        for recipient in recipients
        if _any_fits(tx, one, context, events.get(_user(recipient) or "", ()))
    ]


def _by_subjects(tx: Transaction, one: Exit, parts: Sequence[Part], now: datetime) -> list[tuple[int, int]]:
    subjects = {subject for context, _ in parts if (subject := _subject(context)) is not None}
    since = min(_since(one, context) for context, _ in parts)
    events = exit_events.of_subjects(tx, subjects, one.event, since=since, until=now)
    return [
        (context.run.seq, recipient.id)
        for context, recipients in parts
        if _any_fits(tx, one, context, events.get(_subject(context) or "", ()))
        for recipient in recipients
    ]


def _any_fits(tx: Transaction, one: Exit, context: RunContext, events: Sequence[StoredEvent]) -> bool:
    return any(_fits(tx, one, context, stored) for stored in events)


def _fits(tx: Transaction, one: Exit, context: RunContext, stored: StoredEvent) -> bool:
    event, trigger = stored.event, context.run.event
    if event.time < _since(one, context):
        return False
    if trigger is not None and (event.type, event.time) == (trigger.type, trigger.time):
        # A rule may be called off by events of the type that starts it: never by its own, and of two of one instant
        # the later one calls the earlier off.
        number = exit_events.number_of(tx, trigger)
        if number is None or stored.seq <= number:
            return False
    if one.where is None:
        return True
    scope = {"event": context.scope["event"], "exit": event_scope(event), "now": context.scope["now"]}
    return one.where.evaluate(scope) is True


def _since(one: Exit, context: RunContext) -> datetime:
    return context.run.occasion_at - one.since


def _user(recipient: Recipient) -> str | None:
    user = recipient.user.get("id")
    return user if isinstance(user, str) else None


def _subject(context: RunContext) -> str | None:
    return None if context.run.event is None else context.run.event.subject
