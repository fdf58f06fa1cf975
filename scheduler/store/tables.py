"""The tables, defined with SQLModel. Bulk paths use SQLAlchemy Core on `Model.__table__` (see `table_of`).

Instants are integers: milliseconds since 1970, UTC. JSON is text. A run is named by a number inside the database
(the ledger appends in order) and by its UUID outside.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, LargeBinary, Table, text
from sqlmodel import Field, SQLModel


class Meta(SQLModel, table=True):
    """Facts about this database: its random namespace for run ids."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str


class UserRow(SQLModel, table=True):
    """The human behind several devices."""

    __tablename__ = "users"
    __table_args__ = {"sqlite_with_rowid": False}
    id: str = Field(primary_key=True)
    attributes: str = Field(default="{}")
    opt_outs: str = Field(default="[]")
    locale: str | None = None
    time_zone: str | None = None


class DeviceRow(SQLModel, table=True):
    """One app installation and its device token. `active` is false once the token is retired.

    `registered_at` is when the app itself last registered; it is not known of a device that was only imported.
    """

    __tablename__ = "devices"
    __table_args__ = (
        Index("devices_by_token", "token", "app", unique=True),  # not by app first: an audience scan would sort by it
        Index("devices_by_user", "user"),
    )
    id: int | None = Field(default=None, primary_key=True)
    app: str
    token: str
    user: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    attributes: str = Field(default="{}")
    active: bool = True
    retired_reason: str | None = None
    retired_at: int | None = None
    registered_at: int | None = None
    last_seen_at: int


class TopicRow(SQLModel, table=True):
    """A fan group of an app."""

    __tablename__ = "topics"
    __table_args__ = (Index("topics_by_name", "app", "name", unique=True),)
    id: int | None = Field(default=None, primary_key=True)
    app: str
    name: str


class MembershipRow(SQLModel, table=True):
    """A device in a topic. Read by topic (audiences, in order of devices) and by device (its own topics)."""

    __tablename__ = "memberships"
    __table_args__ = (Index("memberships_by_device", "device"), {"sqlite_with_rowid": False})
    topic: int = Field(primary_key=True)
    device: int = Field(primary_key=True)


class EventRow(SQLModel, table=True):
    """Something that happened. A row exists only when its rules were matched, in the same transaction.

    `user` is set where some rule's `timing.unless` asks for events of this type by their user.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_identity", "source", "id", unique=True),
        Index("events_by_subject", "type", "subject", "time"),
        Index("events_by_user", "user", "type", "time", sqlite_where=text("user IS NOT NULL")),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: str
    source: str
    type: str
    subject: str | None = None
    time: int
    arrived_at: int
    data: str
    user: str | None = None


class ExitTypeRow(SQLModel, table=True):
    """A type of events (a final `*` stands for any rest) that some rule asks for by their user, now or once.

    Whatever is stored after this row has its user. Of the events of before, numbered up to `upto`, those up to `walked`
    were given theirs.
    """

    __tablename__ = "exit_types"
    __table_args__ = {"sqlite_with_rowid": False}
    type: str = Field(primary_key=True)
    upto: int
    walked: int


class RuleVersionRow(SQLModel, table=True):
    """Everything that shaped a run's sends, as source text: a run keeps its version after an edit and a restart."""

    __tablename__ = "rule_versions"
    __table_args__ = {"sqlite_with_rowid": False}
    hash: str = Field(primary_key=True)
    rule: str
    sources: str
    created_at: int


class RunRow(SQLModel, table=True):
    """One occasion and its run: the unique id is derived from (rule, occasion key).

    A run of one window has no shards: `intent` is set on this row, at birth where the window opens at once, and taken
    away again when the window is closed and the run is not over. `finished_at` is there when nothing of it is open any
    more, also where it was cancelled.
    `event` and `previous` are numbers of events; `given_event` is the event (JSON) that a manual run was fired with:
    it did not happen for other rules.
    `waits_until` is there as long as the state is waiting; `wall` is the local time of a slot that comes to each zone
    at an instant of its own. `rule_is_gone` as a daemon last saw its workspace.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_id", "id", unique=True),
        Index("runs_by_rule", "rule", "seq"),
        Index("runs_open", "state", "app", "lane", "seq", sqlite_where=text("finished_at IS NULL")),
        Index("runs_by_key", "rule", "supersede", "occasion_at", "seq", sqlite_where=text("supersede IS NOT NULL")),
        Index(
            "runs_open_by_key",
            "rule",
            "supersede",
            sqlite_where=text("supersede IS NOT NULL AND finished_at IS NULL"),
        ),
        Index("runs_waiting", "lane", "waits_until", sqlite_where=text("waits_until IS NOT NULL")),
    )
    seq: int | None = Field(default=None, primary_key=True)
    id: bytes = Field(sa_column=Column(LargeBinary(16), nullable=False))
    rule: str
    version: str
    occasion: str
    occasion_at: int
    event: int | None = None
    previous: int | None = None
    given_event: str | None = None
    app: str
    category: str
    lane: str
    supersede: str | None = None
    state: str
    note: str | None = None
    due: int
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    last_device: int | None = None
    intent: int | None = None
    selected: int = 0
    sharded: bool = False
    rate: float | None = None
    may_exceed: bool = False
    waits_until: int | None = None
    wall: str | None = None
    past_fuse: bool = False
    past_canary: bool = False
    rule_is_gone: bool = False


class ShardRow(SQLModel, table=True):
    """A range of device ids, (after, last], of a run's audience.

    `cursor`: every selected device up to here has a ledger row or a work row.
    `intent`: devices up to here may have been sent. cursor ≤ intent ≤ last.
    `not_before`: none of its windows opens earlier. Of its range, it is about the devices of some `zones` (JSON list)
    or of one `part` of the audience where these are given.
    """

    __tablename__ = "shards"
    __table_args__ = (
        Index("shards_to_come", "not_before", sqlite_where=text("zones IS NOT NULL AND not_before IS NOT NULL")),
        {"sqlite_with_rowid": False},
    )
    run: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    last: int
    cursor: int
    intent: int
    selected: int = 0
    not_before: int | None = None
    zones: str | None = None
    part: str | None = None


class InFlightRow(SQLModel, table=True):
    """Of a run whose shards share ranges of device ids, the devices that were in its open windows when the last of
    them was opened (64-bit integers): what a crash leaves unknown, as far as it has no row."""

    __tablename__ = "in_flight"
    run: int = Field(primary_key=True)
    devices: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LedgerRow(SQLModel, table=True):
    """The final outcome of a device in a run. Written once, in batches, and never updated.

    `variant` is the name of the one that was chosen, in a rule that has variants, once it was chosen.
    No index on device, user or time: it would drop inserts from hundreds of thousands a second to tens.
    """

    __tablename__ = "ledger"
    __table_args__ = {"sqlite_with_rowid": False}
    run: int = Field(primary_key=True)
    step: str = Field(primary_key=True)
    device: int = Field(primary_key=True)
    outcome: str
    reason: str | None = None
    at: int
    attempts: int
    maybe_repeated: bool = False
    variant: str | None = None


class WorkRow(SQLModel, table=True):
    """A device of a run that is not final: deferred, unsent, to retry, awaiting an answer, or taken up (intended).

    By the index a run finds what is due, in order, without a look at the many that are not.
    """

    __tablename__ = "work"
    __table_args__ = (Index("work_by_time", "run", "not_before", "device"), {"sqlite_with_rowid": False})
    run: int = Field(primary_key=True)
    step: str = Field(primary_key=True)
    device: int = Field(primary_key=True)
    state: str
    reason: str | None = None
    not_before: int
    attempts: int
    process: str | None = None
    maybe_repeated: bool = False


class ClaimRow(SQLModel, table=True):
    """What a person has of a limit, taken for a device of a run inside the transaction that commits the intent.

    Read by person, given back by the device of a run. `at` is the instant that counts for the limit.
    """

    __tablename__ = "claims"
    __table_args__ = (Index("claims_by_device", "run", "device"), {"sqlite_with_rowid": False})
    person: str = Field(primary_key=True)
    kind: str = Field(primary_key=True)
    scope: str = Field(primary_key=True)
    bucket: str = Field(primary_key=True)
    run: int = Field(primary_key=True)
    device: int = Field(primary_key=True)
    at: int


class SelectionRow(SQLModel, table=True):
    """How many devices the runs of a rule selected in a minute (since 1970), where a fuse watches the rule; and the
    `total` of the `span` minutes that end with it. `since` is the first minute of the rule's history."""

    __tablename__ = "selections"
    __table_args__ = {"sqlite_with_rowid": False}
    rule: str = Field(primary_key=True)
    span: int = Field(primary_key=True)
    minute: int = Field(primary_key=True)
    devices: int
    total: int
    since: int


class StopRow(SQLModel, table=True):
    """What the kill switch holds: everything (`all`, an empty name), a rule, or a category."""

    __tablename__ = "stops"
    __table_args__ = {"sqlite_with_rowid": False}
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    since: int


class ScheduleRow(SQLModel, table=True):
    """What is remembered of a rule's schedule: which one it is (`signature`; None while the rule is disabled or gone),
    and up to when its slots were handled. `ran_on` is the last slot that ran: its instant with the offset of its zone,
    or a date where it came to each device at its own time; `several`, whether the schedule by which it ran had more of
    them on that date. `blocked_on` is that of before an edit: nobody gets another on that date.
    `since` is when the schedule was first seen as it is."""

    __tablename__ = "schedules"
    __table_args__ = {"sqlite_with_rowid": False}
    rule: str = Field(primary_key=True)
    signature: str | None = None
    handled: int
    ran_on: str | None = None
    several: bool = False
    blocked_on: str | None = None
    since: int | None = None


class MissRow(SQLModel, table=True):
    """Events that a rule listens to but could not judge: counted by rule, reason and the missing name."""

    __tablename__ = "misses"
    __table_args__ = {"sqlite_with_rowid": False}
    rule: str = Field(primary_key=True)
    reason: str = Field(primary_key=True)
    detail: str = Field(primary_key=True)
    count: int
    last_at: int


class ApiKeyRow(SQLModel, table=True):
    """An API key: only its SHA-256 is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_by_hash", "hash", unique=True),)
    id: int | None = Field(default=None, primary_key=True)
    name: str
    hash: str
    scopes: str
    created_at: int
    revoked_at: int | None = None


def table_of(model: type[SQLModel]) -> Table:
    """The SQLAlchemy Core table of a model."""
    table = model.metadata.tables[str(model.__tablename__)]
    assert isinstance(table, Table)
    return table


META = table_of(Meta)
USERS = table_of(UserRow)
DEVICES = table_of(DeviceRow)
TOPICS = table_of(TopicRow)
MEMBERSHIPS = table_of(MembershipRow)
EVENTS = table_of(EventRow)
EXIT_TYPES = table_of(ExitTypeRow)
RULE_VERSIONS = table_of(RuleVersionRow)
RUNS = table_of(RunRow)
SHARDS = table_of(ShardRow)
IN_FLIGHT = table_of(InFlightRow)
LEDGER = table_of(LedgerRow)
WORK = table_of(WorkRow)
CLAIMS = table_of(ClaimRow)
SELECTIONS = table_of(SelectionRow)
STOPS = table_of(StopRow)
SCHEDULES = table_of(ScheduleRow)
MISSES = table_of(MissRow)
API_KEYS = table_of(ApiKeyRow)
