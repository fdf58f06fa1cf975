"""Which types of events are found by their user, and the users of events that came before that was wanted.

A type stays in the table for good: a run that is pinned to an older version of its rule may still ask for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, bindparam, func, insert, or_, select, update

from scheduler.domain.events import Event
from scheduler.domain.json_values import JsonObject
from scheduler.store.database import Transaction
from scheduler.store.events import data_of
from scheduler.store.tables import EVENTS, EXIT_TYPES

MAX_WALKED = 1_000
"""Events in one transaction."""
_TYPES = select(EXIT_TYPES.c.type)
_SET_USER = update(EVENTS).where(EVENTS.c.seq == bindparam("number")).values(user=bindparam("whose"))


@dataclass(frozen=True, slots=True)
class Walk:
    """Events numbered (after, upto] of some types are still to be given their users."""

    types: tuple[str, ...]
    after: int
    upto: int


@dataclass(frozen=True, slots=True)
class Piece:
    """The next events of a walk that have a user, and up to where it has then come."""

    users: Mapping[int, str]
    walked: int


def exit_types(tx: Transaction) -> frozenset[str]:
    """The types that are found by their user."""
    return frozenset(tx.execute(_TYPES).scalars())


def add_exit_types(tx: Transaction, types: Collection[str]) -> None:
    """From now on these too. What is stored already waits for a walk."""
    known = exit_types(tx)
    upto = int(tx.execute(select(func.coalesce(func.max(EVENTS.c.seq), 0))).scalar_one())
    new = [{"type": one, "upto": upto, "walked": 0} for one in sorted(set(types) - known)]
    if new:
        tx.execute(insert(EXIT_TYPES), new)


def next_walk(tx: Transaction) -> Walk | None:
    """What is still to be walked, all types at once; None: nothing is."""
    rows = tx.execute(select(EXIT_TYPES).where(EXIT_TYPES.c.walked < EXIT_TYPES.c.upto)).all()
    if not rows:
        return None
    return Walk(tuple(row.type for row in rows), min(row.walked for row in rows), max(row.upto for row in rows))


def piece_of(tx: Transaction, walk: Walk) -> Piece:
    """Read the next piece of a walk."""
    rows = tx.execute(piece_statement(walk)).all()
    users = {row.seq: user_of(data_of(row.data)) for row in rows}
    walked = rows[-1].seq if len(rows) == MAX_WALKED else walk.upto
    return Piece({seq: user for seq, user in users.items() if user is not None}, walked)


def piece_statement(walk: Walk) -> Select[tuple[int, str]]:
    """The query of `piece_of`: in the order of the table, whatever index the types have. For EXPLAIN QUERY PLAN too."""
    in_range = (EVENTS.c.seq > walk.after, EVENTS.c.seq <= walk.upto, EVENTS.c.user.is_(None))
    wanted = or_(*map(_is_of, walk.types))
    return select(EVENTS.c.seq, EVENTS.c.data).where(*in_range, wanted).order_by(EVENTS.c.seq).limit(MAX_WALKED)


def record_piece(tx: Transaction, walk: Walk, piece: Piece) -> None:
    """Write a piece of a walk, and that it was walked."""
    if piece.users:
        tx.execute(_SET_USER, [{"number": seq, "whose": user} for seq, user in piece.users.items()])
    done = update(EXIT_TYPES).where(EXIT_TYPES.c.type.in_(walk.types), EXIT_TYPES.c.walked < piece.walked)
    tx.execute(done.values(walked=piece.walked))


def users_of(events: Sequence[Event], types: Collection[str], *, first_seq: int) -> dict[int, str]:
    """By number, the users of those of some events, numbered from `first_seq`, that are of one of these types."""
    if not types:
        return {}
    exact = {one for one in types if not one.endswith("*")}
    prefixes = tuple(one[:-1] for one in types if one.endswith("*"))
    found: dict[int, str] = {}
    for number, event in enumerate(events, first_seq):
        if event.type in exact or event.type.startswith(prefixes):
            user = user_of(event.data)
            if user is not None:
                found[number] = user
    return found


def user_of(data: JsonObject) -> str | None:
    """Whose event it is by its data: `user_id`, a text, or a whole number, which is read as one."""
    match data.get("user_id"):
        case str(text) if text:
            return text
        case bool():
            return None
        case int(number):
            return str(number)
    return None


def _is_of(type_: str) -> ColumnElement[bool]:
    """By an expression, so that no index on the type is taken: the rows would have to be sorted by number then."""
    if type_.endswith("*"):
        return func.substr(EVENTS.c.type, 1, len(type_) - 1) == type_[:-1]
    return EVENTS.c.type.concat("") == type_
