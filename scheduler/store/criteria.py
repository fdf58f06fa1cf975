"""Conditions → SQL: a prefilter that never drops a device which the condition matches.

Three-valued logic does not survive an approximation under `not`, so an expression is lowered to two clauses: where it
may be true, and where it may be false. `not` exchanges them, `and` and `or` combine them, and NOT is never applied to
an approximation. What has no SQL here may be true and may be false anywhere: "keep". A clause that is NULL counts as
false, and no clause is ever negated but those that cannot be NULL.

Numbers: SQLite promises to read the first 15 digits of a fraction, Python reads all (sqlite.org: Floating Point
Numbers). Integers inside JSON are compared exactly, fractions with a margin; so comparisons with numbers inside JSON
are never `exact`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, exists, false, func, literal, not_, or_, true

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
from scheduler.store.tables import MEMBERSHIPS, TOPICS

_MAX_LIST = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# SQLite's paths have no escapes inside quotes, and compare keys with the JSON text as it is written: only keys that
# every JSON writer writes literally can be looked up.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_ .-]+")
_OPPOSITE = {
    Comparison.EQUAL: Comparison.UNEQUAL,
    Comparison.UNEQUAL: Comparison.EQUAL,
    Comparison.LESS: Comparison.AT_LEAST,
    Comparison.AT_LEAST: Comparison.LESS,
    Comparison.GREATER: Comparison.AT_MOST,
    Comparison.AT_MOST: Comparison.GREATER,
}


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


@dataclass(frozen=True, slots=True)
class _Sides:
    """Where an expression may be true, and where it may be false; with `exact`, where it is."""

    true: ColumnElement[bool]
    false: ColumnElement[bool]
    exact: bool = True


_KEEP = _Sides(true(), true(), exact=False)
_UNKNOWN = _Sides(false(), false())


@dataclass(frozen=True, slots=True)
class _Json:
    """A value inside a JSON column: of any type, told by json_type()."""

    column: ColumnElement[Any]
    path: str

    @property
    def kind(self) -> ColumnElement[Any]:
        return func.json_type(self.column, self.path)

    @property
    def value(self) -> ColumnElement[Any]:
        return func.json_extract(self.column, self.path)

    @property
    def text(self) -> ColumnElement[Any]:
        """The string, or NULL when it is something else."""
        return case({"text": self.value}, value=self.kind)

    @property
    def is_present(self) -> ColumnElement[bool]:
        return func.coalesce(self.kind, "null") != "null"

    @property
    def is_empty(self) -> ColumnElement[bool]:
        return func.coalesce(self.text, "x") == ""

    def compare(self, comparison: Comparison, value: object) -> _Sides:
        if isinstance(value, bool):
            if comparison not in (Comparison.EQUAL, Comparison.UNEQUAL):
                return _UNKNOWN
            same, other = (self.kind == word for word in (("true", "false") if value else ("false", "true")))
            return _Sides(same, other) if comparison is Comparison.EQUAL else _Sides(other, same)
        if isinstance(value, str):
            return _Sides(_apply(comparison, self.text, value), _apply(_OPPOSITE[comparison], self.text, value))
        if isinstance(value, int | float):
            return _Sides(
                self._number(comparison, value), self._number(_OPPOSITE[comparison], value), exact=False
            )  # fmt: skip
        return _UNKNOWN

    def _number(self, comparison: Comparison, value: int | float) -> ColumnElement[bool]:
        margin = max(abs(value) * 1e-9, 1e-9)
        above, below = self.value >= float(value) - margin, self.value <= float(value) + margin
        roughly = {
            Comparison.EQUAL: and_(above, below),
            Comparison.UNEQUAL: true(),
            Comparison.LESS: below,
            Comparison.AT_MOST: below,
            Comparison.GREATER: above,
            Comparison.AT_LEAST: above,
        }
        return case({"integer": _apply(comparison, self.value, value), "real": roughly[comparison]}, value=self.kind)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of one type: `of` turns a constant into what the column holds, or None for another type."""

    value: ColumnElement[Any]
    of: Callable[[object], str | int | float | None]

    @property
    def is_present(self) -> ColumnElement[bool]:
        return self.value.is_not(None)

    @property
    def is_empty(self) -> ColumnElement[bool]:
        return func.coalesce(self.value, "x") == ""

    @property
    def text(self) -> ColumnElement[Any]:
        return self.value

    def compare(self, comparison: Comparison, value: object) -> _Sides:
        constant = self.of(value)
        if constant is None:
            return _UNKNOWN
        return _Sides(_apply(comparison, self.value, constant), _apply(_OPPOSITE[comparison], self.value, constant))


class _Lowering:
    def __init__(self, devices: FromClause, users: FromClause) -> None:
        self._devices = devices
        self._users = users

    def sides(self, expression: Expression) -> _Sides:
        match expression:
            case Constant(value):
                return _Sides(
                    true() if value is True else false(), true() if value is False else false()
                )  # fmt: skip
            case And(operands):
                parts = [self.sides(operand) for operand in operands]
                return _Sides(and_(*(p.true for p in parts)), or_(*(p.false for p in parts)), _all_exact(parts))
            case Or(operands):
                parts = [self.sides(operand) for operand in operands]
                return _Sides(or_(*(p.true for p in parts)), and_(*(p.false for p in parts)), _all_exact(parts))
            case Not(operand):
                inner = self.sides(operand)
                return _Sides(inner.false, inner.true, inner.exact)
            case IsDefined(Name("user", ())):
                has_user = self._devices.c.user.is_not(None)
                return _Sides(has_user, not_(has_user))
            case IsDefined(Name() as name):
                field = self._field(name)
                return _KEEP if field is None else _Sides(field.is_present, not_(field.is_present))
            case Default():
                return self._default(expression, lambda value: value)
            case Name():
                return self._truth(expression)
            case Compare():
                return self._compare(expression)
            case In():
                return self._in(expression)
            case _:
                return _KEEP

    def _truth(self, name: Name) -> _Sides:
        field = self._field(name)
        return _KEEP if field is None else field.compare(Comparison.EQUAL, True)

    def _compare(self, expression: Compare) -> _Sides:
        match expression:
            case Compare(_, Constant(), Constant()):
                return self.sides(Constant(compiled(expression)({})))
            case Compare(comparison, Constant() as left, right):
                return self._compare(Compare(comparison.mirrored, right, left))
            case Compare(comparison, Default() as left, Constant() as right):
                return self._default(left, lambda value: Compare(comparison, value, right))
            case Compare(comparison, Name() as name, Constant(value)):
                field = self._field(name)
                return field.compare(comparison, value) if field is not None and _is_bindable(value) else _KEEP
            case _:
                return _KEEP

    def _in(self, expression: In) -> _Sides:
        match expression:
            case In(Constant(str() as topic), Name("device", ("topics",))) if _is_bindable(topic):
                return self._membership(topic)
            case In(Default() as item, Constant() as container):
                return self._default(item, lambda value: In(value, container))
            case In(Name() as name, Constant([])):
                field = self._field(name)
                return _KEEP if field is None else _Sides(false(), field.is_present)
            case In(Name() as name, Constant(list() as values)) if _are_strings(values):
                field = self._field(name)
                if field is None or len(values) > _MAX_LIST:
                    return _KEEP
                if isinstance(field, _Column) and field.of(values[0]) is None:
                    return _UNKNOWN
                return _Sides(field.text.in_(values), field.text.not_in(values))
            case In(Name() | Constant() as item, Constant(list() as values)) if 0 < len(values) <= _MAX_LIST:
                return self._one_of(item, tuple(Constant(value) for value in values))
            case In(Name() | Constant() as item, ListOf(items)):
                return self._one_of(item, items)
            case _:
                return _KEEP

    def _one_of(self, item: Expression, others: tuple[Expression, ...]) -> _Sides:
        return self.sides(Or(tuple(Compare(Comparison.EQUAL, item, other) for other in others)))

    def _membership(self, topic: str) -> _Sides:
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
        return _Sides(is_member, not_(is_member))

    def _default(self, default: Default, rebuild: Callable[[Expression], Expression]) -> _Sides:
        """Both ways: with the value where it is there, with the fallback where it is missing."""
        field = self._field(default.operand) if isinstance(default.operand, Name) else None
        if field is None:
            return _KEEP
        counts = and_(field.is_present, not_(field.is_empty)) if default.empty_too else field.is_present
        given, fallen = self.sides(rebuild(default.operand)), self.sides(rebuild(default.fallback))
        return _Sides(
            or_(and_(counts, given.true), and_(not_(counts), fallen.true)),
            or_(and_(counts, given.false), and_(not_(counts), fallen.false)),
            given.exact and fallen.exact,
        )

    def _field(self, name: Name) -> _Json | _Column | None:
        """Where a name's value is in the database, or None where SQL cannot say."""
        devices, users = self._devices.c, self._users.c
        match name:
            case Name("device", ("attributes", *keys)) if keys and all(_PLAIN_KEY.fullmatch(key) for key in keys):
                return _Json(devices.attributes, _json_path(keys))
            case Name("user", ("attributes", *keys)) if keys and all(_PLAIN_KEY.fullmatch(key) for key in keys):
                return _Json(users.attributes, _json_path(keys))
            case Name("device", ("id",)):
                return _Column(devices.id, _number)
            case Name("device", ("app",)):
                return _Column(devices.app, _string)
            case Name("device", ("locale" | "time_zone" as key,)):
                # A device that says nothing of its own has its user's: as the scopes of an audience are made.
                return _Column(func.coalesce(func.nullif(devices[key], ""), users[key]), _string)
            case Name("device", ("registered_at" | "last_seen_at" as key,)):
                return _Column(devices[key] * 1000, _microseconds)
            case Name("user", ("id",)):
                return _Column(devices.user, _string)
            case Name("user", ("locale" | "time_zone" as key,)):
                return _Column(users[key], _string)
            case _:
                return None


def _apply(comparison: Comparison, column: ColumnElement[Any], value: str | int | float) -> ColumnElement[bool]:
    return column.op(str(comparison), is_comparison=True)(literal(value))


def _all_exact(parts: list[_Sides]) -> bool:
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
