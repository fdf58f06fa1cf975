"""A run and its parts as values: what the store keeps, the services decide on and the engine moves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from uuid import UUID

from scheduler.domain.events import Event
from scheduler.domain.json_values import Json
from scheduler.domain.lanes import Lane
from scheduler.domain.outcomes import DeferReason
from scheduler.domain.quantities import Rate


class RunState(StrEnum):
    """Where a run is in its life; `runs/lifecycle.py` says which may follow which."""

    PENDING = "pending"
    """Its occasion came; no window was opened yet."""
    RUNNING = "running"
    WAITING = "waiting"
    """Begun, and nothing of it is open or due for a while: it is in the store alone until `waits_until`."""
    PAUSED = "paused"
    """Nothing new is sent. What is in flight gets its outcome."""
    CANCELLED = "cancelled"
    """An operator ended it: what waits is suppressed, what is in flight gets its outcome."""
    SUPERSEDED = "superseded"
    """A newer run of the rule has its key (`delivery.supersede`): ended in the same way."""
    FINISHED = "finished"


CALLED_OFF = (RunState.CANCELLED, RunState.SUPERSEDED)
"""The states of runs that ended before all of it was sent. Each is the reason of what it suppresses, too."""


class WorkState(StrEnum):
    """Why a device of a run is not final yet."""

    DEFERRED = "deferred"
    """Decided: not before `not_before`, and then the whole decision again."""
    UNSENT = "unsent"
    """Certainly not processed: sent again as soon as a link takes it."""
    RETRY = "retry"
    """Answered with a passing failure: sent again at `not_before`."""
    AWAITING = "awaiting"
    """Sent, its window is closed, the answer may still come until `not_before`."""
    INTENDED = "intended"
    """Taken up: it may have been sent by `process`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The work of one occasion, pinned to a rule version. `seq` is its number in this database."""

    seq: int
    id: UUID
    rule: str
    version: str
    occasion: str
    occasion_at: datetime
    """When the occasion was: the event's time, else when it came. Newer and older runs go by it, then by `seq`."""
    state: RunState
    app: str
    category: str
    lane: Lane
    due: datetime
    event: Event | None = None
    previous: Event | None = None
    supersede: str | None = None
    note: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    last_device: int | None = None
    intent: int | None = None
    selected: int = 0
    sharded: bool = False
    rate: Rate | None = None
    """Set by hand, in place of the rule's."""
    may_exceed: bool = False
    """A hand let it start although its audience is over `audience_max`."""
    waits_until: datetime | None = None
    """Of a waiting run: when the next of it is due."""
    wall: datetime | None = None
    """The wall time (naive) of a slot that comes to each device when its own clock shows it; `due` is then when it
    comes first, anywhere."""
    past_fuse: bool = False
    """A hand let it go on although it selects more than the rule's fuse takes."""
    past_canary: bool = False
    """Its canary was good enough, or a hand let it go on all the same."""

    @property
    def is_born(self) -> bool:
        """Whether it has its number: that of a preview has none."""
        return self.seq > 0


@dataclass(frozen=True, slots=True)
class Shard:
    """A range of device ids of a run's audience, up to `last`. A run of one window is its own only shard (None).

    No window of it is opened before `not_before`. Where `zones` or a `part` are given it is about the devices of the
    range in these zones, or in that part of the audience.
    """

    run: int
    number: int | None
    last: int
    cursor: int
    intent: int
    selected: int = 0
    not_before: datetime | None = None
    zones: tuple[str, ...] | None = None
    part: str | None = None

    @property
    def shares_its_range(self) -> bool:
        """Whether other shards of the run are about other devices of the same range, which may come into its part."""
        return self.zones is not None or self.part is not None


class Part(StrEnum):
    """The parts of an audience in a run that has a canary."""

    CANARY = "canary"
    """A share of the people, drawn by a hash: they go first."""
    REST = "rest"
    """Everybody else: who has no row in the run when this part is read."""


@dataclass(slots=True)
class Recipient:
    """A device as a window sees it. Not frozen: a million of these are made in a run, and frozen costs double.

    `user` and `device` are the scopes that conditions and templates read.
    """

    id: int
    token: str
    locale: str | None
    user: dict[str, Json]
    device: dict[str, Json]
    opt_outs: frozenset[str]
    attempts: int = 0
    maybe_repeated: bool = False
    zone: tzinfo | None = None
    """The person's zone, where the audience asks for it and there is one."""
    held_out: bool = False
    """Decided: the person is in a holdout. It goes the whole way, and is not sent."""
    variant: str | None = None
    """Decided: the name of the variant it gets, where the rule has variants."""
    due: datetime | None = None
    """Decided: the instant of the slot by its own clock, where that is not the run's."""
    expiration: int | None = None
    """With `due`: `apns-expiration` in UNIX seconds."""

    @property
    def time_zone(self) -> str | None:
        """The name of its zone: the device's own, else its user's."""
        name = self.device["time_zone"]
        assert name is None or isinstance(name, str)
        return name

    @property
    def person(self) -> str:
        """Whom limits and experiments count as one: the user where known, else the device."""
        user = self.user.get("id")
        return f"device:{self.id}" if user is None else f"user:{user}"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One final outcome, as it goes to the ledger."""

    run: int
    device: int
    outcome: str
    reason: str | None
    attempts: int
    maybe_repeated: bool = False
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class WorkEntry:
    """One device of a run that is not final, as it goes to the work rows. `not_before` is an instant."""

    run: int
    device: int
    state: WorkState
    reason: str | None
    not_before: datetime
    attempts: int
    maybe_repeated: bool = False

    @property
    def was_delayed(self) -> bool:
        """Whether it has waited for the end of its rule's delay, and for nothing since."""
        return self.state is WorkState.DEFERRED and self.reason == DeferReason.DELAY
