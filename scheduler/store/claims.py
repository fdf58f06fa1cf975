"""Claims: what persons have of a limit, one row for each device of a run that holds it.

A row for each device makes taking an INSERT that may find itself there, and giving back a DELETE of the device's own
rows: both can be done again, whatever happened before. They are read by person, through the primary key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Select, bindparam, delete, exists, or_, select
from sqlalchemy.dialects.sqlite import insert

from scheduler.store.database import Asked, Transaction
from scheduler.store.instants import to_ms
from scheduler.store.prepared import Prepared
from scheduler.store.tables import CLAIMS, RUNS

_PERSONS = 500
"""In one query."""


class ClaimKind(StrEnum):
    """What is claimed: a place under a cap, an entry into a rule, or being the device of a user in a run."""

    CAP = "cap"
    REENTRY = "reentry"
    LATEST = "latest"


_GIVE_BACK = Prepared(
    delete(CLAIMS).where(
        CLAIMS.c.run == bindparam("r"), CLAIMS.c.device == bindparam("d"), CLAIMS.c.kind != ClaimKind.LATEST.value
    ),
    "r",
    "d",
)
"""Which device a user's is stays decided: another one would be a second decision to send."""


class Claim(NamedTuple):
    """A row. `scope` is the cap or the rule, `bucket` the key of a re-entry; `at` is in milliseconds since 1970."""

    person: str
    kind: ClaimKind
    scope: str
    bucket: str
    run: int
    device: int
    at: int


_TAKE = Prepared(insert(CLAIMS).on_conflict_do_nothing(), *Claim._fields)


_OF_PERSONS = CLAIMS.c.person.in_(bindparam("persons", expanding=True))
_RUNS: BindParameter[Any] = bindparam("runs", expanding=True)


def _of(kind: ClaimKind) -> Select[Any]:
    scopes: BindParameter[Any] = bindparam("scopes", expanding=True)
    return select(CLAIMS.c.person, CLAIMS.c.scope, CLAIMS.c.bucket, CLAIMS.c.run, CLAIMS.c.at).where(
        _OF_PERSONS, CLAIMS.c.kind == kind.value, CLAIMS.c.scope.in_(scopes)
    )


_PLACES = _of(ClaimKind.CAP).where(or_(CLAIMS.c.at >= bindparam("since"), CLAIMS.c.run.in_(_RUNS)))
_ENTRIES = _of(ClaimKind.REENTRY)
_CHOSEN = select(CLAIMS.c.person, CLAIMS.c.run, CLAIMS.c.device).where(
    _OF_PERSONS,
    CLAIMS.c.kind == ClaimKind.LATEST.value,
    CLAIMS.c.scope == "",
    CLAIMS.c.bucket == "",
    (CLAIMS.c.run + 0).in_(_RUNS),  # not by the index of the runs: there are all persons of them
)
_WITH_CLAIMS = select(RUNS.c.seq).where(
    RUNS.c.seq.in_(_RUNS), exists(select(CLAIMS.c.run).where(CLAIMS.c.run == RUNS.c.seq))
)


class Held(NamedTuple):
    """What a run holds for a person, by one of its devices. `at` is in milliseconds since 1970."""

    person: str
    scope: str
    bucket: str
    run: int
    at: int


def take(tx: Transaction, claims: Sequence[Claim]) -> None:
    """Write claims; one that is there already stays as it is."""
    _TAKE.run(tx, claims)


def give_back(tx: Transaction, devices: Sequence[tuple[int, int]]) -> None:
    """These (run, device) hold no place and no entry any more. Runs without claims cost one look for all of them."""
    if not devices:
        return
    claimed = _with_claims(tx, {run for run, _ in devices})
    _GIVE_BACK.run(tx, [(run, device) for run, device in devices if run in claimed])


def forget(tx: Transaction, persons: Sequence[str]) -> None:
    """Remove everything that is known of these persons."""
    for some in _chunks(persons):
        tx.execute(delete(CLAIMS).where(CLAIMS.c.person.in_(some)))


def places(
    tx: Transaction, persons: Sequence[str], caps: Collection[str], *, since: datetime, runs: Collection[int]
) -> Iterator[Held]:
    """What these persons have of these caps since an instant; of some runs whenever it was taken."""
    for some in _chunks(persons):
        yield from map(Held._make, tx.execute(*places_statement(some, caps, since=since, runs=runs)).all())


def places_statement(persons: Sequence[str], caps: Collection[str], *, since: datetime, runs: Collection[int]) -> Asked:
    """The query of `places`. Public for EXPLAIN QUERY PLAN."""
    return _PLACES, {"persons": persons, "scopes": sorted(caps), "since": to_ms(since), "runs": sorted(runs)}


def entries(tx: Transaction, persons: Sequence[str], rules: Collection[str]) -> Iterator[Held]:
    """The occasions that these persons had of these rules."""
    for some in _chunks(persons):
        yield from map(Held._make, tx.execute(*entries_statement(some, rules)).all())


def entries_statement(persons: Sequence[str], rules: Collection[str]) -> Asked:
    """The query of `entries`. Public for EXPLAIN QUERY PLAN."""
    return _ENTRIES, {"persons": persons, "scopes": sorted(rules)}


def chosen_devices(tx: Transaction, persons: Sequence[str], runs: Collection[int]) -> dict[tuple[str, int], int]:
    """By (person, run), the device that was chosen."""
    found: dict[tuple[str, int], int] = {}
    for some in _chunks(persons):
        for row in tx.execute(*chosen_statement(some, runs)).all():
            found[row.person, row.run] = row.device
    return found


def chosen_statement(persons: Sequence[str], runs: Collection[int]) -> Asked:
    """The query of `chosen_devices`. Public for EXPLAIN QUERY PLAN."""
    return _CHOSEN, {"persons": persons, "runs": sorted(runs)}


def _with_claims(tx: Transaction, runs: Collection[int]) -> set[int]:
    """Those of some runs that hold anything."""
    return set(tx.execute(_WITH_CLAIMS, {"runs": sorted(runs)}).scalars())


def _chunks(persons: Sequence[str]) -> Iterator[Sequence[str]]:
    return (persons[start : start + _PERSONS] for start in range(0, len(persons), _PERSONS))
