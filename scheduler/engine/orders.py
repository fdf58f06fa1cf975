"""The messages between the dispatcher and its sender; they know each other by nothing else.

A window goes out with everything that rendering and sending need; batches of reports come back. The sender has no
state of its own that outlives a window, so it may as well run in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from scheduler.domain.lanes import Lane
from scheduler.domain.quantities import Rate
from scheduler.domain.runs import Recipient
from scheduler.runs.verdicts import Report


@dataclass(frozen=True, slots=True)
class RateGrant:
    """This sender's share of a rate. `scope` names what is bounded: an app, a lane of it, a rule, or a run."""

    scope: str
    rate: Rate
    replaces_another: bool = False
    """A hand gave it to a run, in place of the rule's: nothing is saved up at first: a burst may just have gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOrder:
    """A window to render and send. `number` names it in reports; `expiration` is in UNIX seconds (0: never store)."""

    number: int
    app: str
    rule: str
    version: str
    lane: Lane
    run: UUID
    scope: Mapping[str, object]
    expiration: int
    grants: tuple[RateGrant, ...]
    recipients: Sequence[Recipient]


Deliver: TypeAlias = Callable[[int, Sequence[tuple[int, Report]]], None]
"""Takes reports of (device, report) for a window's number. Each device of an order is reported once, unless it was
withdrawn."""
