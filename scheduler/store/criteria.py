"""Conditions → SQL: a prefilter that never drops a device which the condition matches.

Three-valued logic does not survive an approximation under `not`, so an expression is lowered to two clauses: where it
may be true, and where it may be false. `not` exchanges them, `and` and `or` combine them, and NOT is never applied to
an approximation. What has no SQL here may be true and may be false anywhere: "keep". A clause that is NULL counts as
false, and no clause is ever negated but those that cannot be NULL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, FromClause, and_, exists, false, func, not_, or_, true

from scheduler.conditions.condition import Condition
from scheduler.conditions.evaluation import compiled
from scheduler.conditions.expressions import (
    And,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    In,
    IsDefined,
    ListOf,
    Name,
    Not,
    Or,
)
from scheduler.domain.json_values import MAX_INTEGER, MIN_INTEGER
from scheduler.store.criteria_fields import KEEP, UNKNOWN, ColumnField, JsonField, Sides
from scheduler.store.tables import MEMBERSHIPS, TOPICS

_MAX_LIST = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# SQLite's paths have no escapes inside quotes, and compare keys with the JSON text as it is written: only keys that
# every JSON writer writes literally can be looked up.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_ .-]+")


@dataclass(frozen=True, slots=True)
class Lowered:
    """A clause over devices joined with their users (LEFT JOIN). `exact`: it lets through what matches, no more."""

    clause: ColumnElement[bool]
    exact: bool


def lower(condition: Condition, devices: FromClause, users: FromClause) -> Lowered:
    """The clause of a condition that reads `device` and `user` alone. It holds wherever the condition is true.

    `devices` and `users` are the tables or aliases of the query: users outer-joined on users.id = devices.user.
    Other roots that are still free count as "keep": bind them first.
    """
    sides = _Lowering(devices, users).sides(condition.expression)
    return Lowered(sides.true, sides.exact)


class _Lowering:
    def __init__(self, devices: FromClause, users: FromClause) -> None:
        self._devices = devices
        self._users = users

    def sides(self, expression: Expression) -> Sides:
        match expression:
            case Constant(value):
                return Sides(true() if value is True else false(), true() if value is False else false())
            case And(operands):
                parts = [self.sides(operand) for operand in operands]
                return Sides(and_(*(p.true for p in parts)), or_(*(p.false for p in parts)), _all_exact(parts))
            case Or(operands):
                parts = [self.sides(operand) for operand in operands]
                return Sides(or_(*(p.true for p in parts)), and_(*(p.false for p in parts)), _all_exact(parts))
            case Not(operand):
                inner = self.sides(operand)
                return Sides(inner.false, inner.true, inner.exact)
            case IsDefined(Name("user", ())):
                has_user = self._devices.c.user.is_not(None)
                return Sides(has_user, not_(has_user))
            case IsDefined(Name() as name):
                field = self._field(name)
                return KEEP if field is None else Sides(field.is_present, not_(field.is_present))
            case Default():
                return self._default(expression, lambda value: value)
            case Name():
                return self._truth(expression)
            case Compare():
                return self._compare(expression)
            case In():
                return self._in(expression)
            case _:
                return KEEP

    def _truth(self, name: Name) -> Sides:
        field = self._field(name)
        return KEEP if field is None else field.compare(Comparison.EQUAL, True)

    def _compare(self, expression: Compare) -> Sides:
        match expression:
            case Compare(_, Constant(), Constant()):
                return self.sides(Constant(compiled(expression)({})))
            case Compare(comparison, Constant() as left, right):
                return self._compare(Compare(comparison.mirrored, right, left))
            case Compare(comparison, Default() as left, Constant() as right):
                return self._default(left, lambda value: Compare(comparison, value, right))
            case Compare(comparison, Name() as name, Constant(value)):
                field = self._field(name)
                return field.compare(comparison, value) if field is not None and _is_bindable(value) else KEEP
            case _:
                return KEEP

    def _in(self, expression: In) -> Sides:
        match expression:
            case In(Constant(str() as topic), Name("device", ("topics",))) if _is_bindable(topic):
                return self._membership(topic)
            case In(Default() as item, Constant() as container):
                return self._default(item, lambda value: In(value, container))
            case In(Name() as name, Constant([])):
                field = self._field(name)
                return KEEP if field is None else Sides(false(), field.is_present)
            case In(Name() as name, Constant(list() as values)) if _are_strings(values):
                field = self._field(name)
                if field is None or len(values) > _MAX_LIST:
                    return KEEP
                if isinstance(field, ColumnField) and field.of(values[0]) is None:
                    return UNKNOWN
                return Sides(field.text.in_(values), field.text.not_in(values))
            case In(Name() | Constant() as item, Constant(list() as values)) if 0 < len(values) <= _MAX_LIST:
                return self._one_of(item, tuple(Constant(value) for value in values))
            case In(Name() | Constant() as item, ListOf(items)):
                return self._one_of(item, items)
            case _:
                return KEEP

    def _one_of(self, item: Expression, others: tuple[Expression, ...]) -> Sides:
        return self.sides(Or(tuple(Compare(Comparison.EQUAL, item, other) for other in others)))

    def _membership(self, topic: str) -> Sides:
        is_member = (
            exists()
            .where(
                MEMBERSHIPS.c.device == self._devices.c.id,
                MEMBERSHIPS.c.topic == TOPICS.c.id,
                TOPICS.c.app == self._devices.c.app,
                TOPICS.c.name == topic,
            )
            .correlate(self._devices)
        )
        return Sides(is_member, not_(is_member))

    def _default(self, default: Default, rebuild: Callable[[Expression], Expression]) -> Sides:
        """Both ways: with the value where it is there, with the fallback where it is missing."""
        field = self._field(default.operand) if isinstance(default.operand, Name) else None
        if field is None:
            return KEEP
        counts = and_(field.is_present, not_(field.is_empty)) if default.empty_too else field.is_present
        given, fallen = self.sides(rebuild(default.operand)), self.sides(rebuild(default.fallback))
        return Sides(
            or_(and_(counts, given.true), and_(not_(counts), fallen.true)),
            or_(and_(counts, given.false), and_(not_(counts), fallen.false)),
            given.exact and fallen.exact,
        )

    def _field(self, name: Name) -> JsonField | ColumnField | None:
        """Where a name's value is in the database, or None where SQL cannot say."""
        devices, users = self._devices.c, self._users.c
        match name:
            case Name("device", ("attributes", *keys)) if keys and all(_PLAIN_KEY.fullmatch(key) for key in keys):
                return JsonField(devices.attributes, _json_path(keys))
            case Name("user", ("attributes", *keys)) if keys and all(_PLAIN_KEY.fullmatch(key) for key in keys):
                return JsonField(users.attributes, _json_path(keys))
            case Name("device", ("id",)):
                return ColumnField(devices.id, _number)
            case Name("device", ("app",)):
                return ColumnField(devices.app, _string)
            case Name("device", ("locale" | "time_zone" as key,)):
                # A device that says nothing of its own has its user's: as the scopes of an audience are made.
                return ColumnField(func.coalesce(func.nullif(devices[key], ""), users[key]), _string)
            case Name("device", ("registered_at" | "last_seen_at" as key,)):
                return ColumnField(devices[key] * 1000, _microseconds)
            case Name("user", ("id",)):
                return ColumnField(devices.user, _string)
            case Name("user", ("locale" | "time_zone" as key,)):
                return ColumnField(users[key], _string)
            case _:
                return None


def _all_exact(parts: list[Sides]) -> bool:
    return all(part.exact for part in parts)


def _json_path(keys: list[str]) -> str:
    return "$" + "".join(f'."{key}"' for key in keys)


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _microseconds(value: object) -> int | None:
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, datetime) else None


def _are_strings(values: list[object]) -> bool:
    return bool(values) and all(isinstance(value, str) and _is_bindable(value) for value in values)


def _is_bindable(value: object) -> bool:
    """Whether SQL reads a constant as Python does. Values beyond that cannot be in the database either, but to keep
    is always right."""
    match value:
        case bool() | None | datetime():
            return True
        case int():
            return MIN_INTEGER <= value <= MAX_INTEGER
        case float():
            return math.isfinite(value)
        case str():
            return "\0" not in value and value.encode(errors="replace").decode() == value
        case _:
            return False
