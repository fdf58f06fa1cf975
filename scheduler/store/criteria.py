"""Conditions → SQL: a prefilter that never drops a device which the condition matches.

Three-valued logic does not survive an approximation under `not`, so an expression is lowered to two clauses: where it
may be true, and where it may be false. `not` exchanges them, `and` and `or` combine them, and NOT is never applied to
an approximation. What has no SQL here may be true and may be false anywhere: "keep". A clause that is NULL counts as
false, and no clause is ever negated but those that cannot be NULL.

docs/criteria.md is the table of what is lowered and what is exact; tests hold it against real databases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, and_, exists, false, func, not_, or_, true

from scheduler.conditions.binding import bound
from scheduler.conditions.condition import Condition
from scheduler.conditions.expressions import (
    And,
    Call,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    Function,
    In,
    IsDefined,
    ListOf,
    LocalDate,
    Name,
    Not,
    Or,
    names_in,
)
from scheduler.conditions.value_checks import unsafe
from scheduler.store.criteria_days import bounds_of, compare_days, compare_instant, days_of, shifted
from scheduler.store.criteria_fields import (
    KEEP,
    UNKNOWN,
    Dialect,
    Field,
    InstantField,
    NumberField,
    Sides,
    TextField,
    within,
)
from scheduler.store.criteria_sqlite import SQLITE
from scheduler.store.tables import MEMBERSHIPS, TOPICS

_ROOM = 1_000
_ROOM_OF_A_TERM = 10
"""A condition has room for so many texts of lists, or a tenth of other values. Databases bound the parameters of a
query, and SQLite the depth of its tree to 1,000, where each of a row of terms is a level (sqlite.org: Limits)."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """A clause over devices joined with their users (LEFT JOIN). `exact`: it lets through what matches, no more."""

    clause: ColumnElement[bool]
    exact: bool


def lower(condition: Condition, devices: FromClause, users: FromClause, database: str = "sqlite") -> Lowered:
    """The clause of a condition that reads `device` and `user` alone. It holds wherever the condition is true.

    `devices` and `users` are the tables or aliases of the query: users outer-joined on users.id = devices.user.
    Other roots that are still free count as "keep": bind them first. `database` is SQLAlchemy's name of the one that
    is asked.
    """
    dialect = SQLITE
    if database == "postgresql":
        from scheduler.store.criteria_postgresql import POSTGRESQL  # who has SQLite pays nothing for it

        dialect = POSTGRESQL
    sides = _Lowering(devices, users, dialect).sides(condition.expression)
    return Lowered(sides.true, sides.exact)


class _Lowering:
    def __init__(self, devices: FromClause, users: FromClause, dialect: Dialect) -> None:
        self._devices = devices
        self._users = users
        self._dialect = dialect
        self._room = _ROOM

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
                return self.sides(operand).swapped
            case IsDefined(Name("user", ())):
                return _two(self._devices.c.user.is_not(None))
            case IsDefined(Name() as name):
                field = self._field(name)
                return KEEP if field is None else _two(field.is_present)
            case Default():
                return self._default(expression, lambda value: value)
            case Name():
                field = self._field(expression)
                return KEEP if field is None else field.compare(Comparison.EQUAL, True)
            case Compare(comparison, left, right):
                return self._compare(comparison, left, right)
            case In(item, container):
                return self._in(item, container)
            case Call(Function.STARTS_WITH, (text, Constant(beginning))):
                return self._starts_with(text, beginning)
            case _:
                return KEEP

    def _compare(self, comparison: Comparison, left: Expression, right: Expression) -> Sides:
        if _is_known(left):
            comparison, left, right = comparison.mirrored, right, left
        if _is_known(left) or not _is_known(right):
            return KEEP
        if isinstance(left, Default):
            return self._default(left, lambda value: Compare(comparison, value, right))
        try:
            return self._compare_with_known(comparison, left, right)
        except OverflowError:  # a day before the first or after the last that there is
            return KEEP

    def _compare_with_known(self, comparison: Comparison, left: Expression, right: Expression) -> Sides:
        match left, right:
            case Call(Function.DAYS_BETWEEN, (start, end)), Constant(int() | float() as count):
                return self._days_between(comparison, start, end, count)
            case Call(Function.INSTANT, (asked,)), _:
                compared = compare_instant
            case asked, _:
                compared = within
        bounds, field = bounds_of(right), self._field(asked)
        if bounds is None or field is None or unsafe(bounds[0]) is not None:
            return KEEP
        return compared(field, comparison, *bounds)

    def _days_between(self, comparison: Comparison, start: Expression, end: Expression, count: float) -> Sides:
        """The days from `start` to `end` compared with a number: the one compared with so many days from the other."""
        if _is_known(end):
            asked, days, count, comparison = start, days_of(end), -count, comparison.mirrored
        else:
            asked, days = end, days_of(start)
        may_be_instant = isinstance(asked, LocalDate)
        field = self._field(asked.operand if isinstance(asked, LocalDate) else asked)
        if days is None or field is None:
            return KEEP
        return compare_days(field, comparison, shifted(days, count), may_be_instant=may_be_instant)

    def _in(self, item: Expression, container: Expression) -> Sides:
        match item, container:
            case Constant(str() as topic), Name("device", ("topics",)) if unsafe(topic) is None:
                return self._membership(topic)
            case Default(), _ if _is_known(container):
                return self._default(item, lambda value: In(value, container))
            case Constant(), Default():
                return self._default(container, lambda value: In(item, value))
            case _, Constant(list() as values):
                return self._one_of(item, values)
            case _, ListOf(items):
                return self._any_of(item, items)
            case Constant(str() as part), _:
                field = self._field(container)
                return KEEP if field is None or unsafe(part) is not None else field.contains(part)
            case _:
                return KEEP

    def _one_of(self, item: Expression, values: list[object]) -> Sides:
        texts = [value for value in values if isinstance(value, str)]
        if len(texts) < len(values):
            return self._any_of(item, tuple(Constant(value) for value in values))
        field = self._field(item)
        if field is None or not self._takes(len(texts)) or unsafe(texts) is not None:
            return KEEP
        if not texts:
            return Sides(false(), field.is_present)
        return field.text.one_of(texts) if field.text is not None else UNKNOWN

    def _any_of(self, item: Expression, others: tuple[Expression, ...]) -> Sides:
        if not self._takes(_ROOM_OF_A_TERM * len(others)):
            return KEEP
        return self._folded(Or(tuple(Compare(Comparison.EQUAL, item, other) for other in others)))

    def _takes(self, room: int) -> bool:
        self._room -= room
        return self._room >= 0

    def _starts_with(self, text: Expression, beginning: object) -> Sides:
        if isinstance(text, Default):
            return self._default(text, lambda value: Call(Function.STARTS_WITH, (value, Constant(beginning))))
        field = self._field(text)
        if field is None or unsafe(beginning) is not None:
            return KEEP
        return field.text.starts_with(beginning) if field.text is not None and isinstance(beginning, str) else UNKNOWN

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
        return _two(is_member)

    def _default(self, default: Default, rebuild: Callable[[Expression], Expression]) -> Sides:
        """Both ways: with the value where it is there, with the fallback where it is missing."""
        field = self._field(default.operand)
        if field is None:
            return KEEP
        counts = field.is_present
        if default.empty_too and field.text is not None:
            counts = and_(counts, not_(field.text.is_empty))
        given, fallen = self._folded(rebuild(default.operand)), self._folded(rebuild(default.fallback))
        return Sides(
            or_(and_(counts, given.true), and_(not_(counts), fallen.true)),
            or_(and_(counts, given.false), and_(not_(counts), fallen.false)),
            given.exact and fallen.exact,
        )

    def _folded(self, expression: Expression) -> Sides:
        return self.sides(bound(expression, {}))

    def _field(self, expression: Expression) -> Field | None:
        """Where a value is in the database, or None where SQL cannot say."""
        devices, users, dialect = self._devices.c, self._users.c, self._dialect
        match expression:
            case Name("device", ("attributes", *keys)) if keys:
                return dialect.json(devices.attributes, keys)
            case Name("user", ("attributes", *keys)) if keys:
                return dialect.json(users.attributes, keys)
            case Name("device", ("id",)):
                return NumberField(dialect, devices.id)
            case Name("device", ("app",)):
                return TextField(dialect, devices.app)
            case Name("device", ("locale" | "time_zone" as key,)):
                return TextField(dialect, self._own_or_users(key))
            case Name("device", ("language",)):
                locale = func.nullif(self._own_or_users("locale"), "")
                return TextField(dialect, dialect.until(func.replace(locale, "_", "-"), "-"))
            case Name("device", ("registered_at" | "last_seen_at" as key,)):
                return InstantField(devices[key])
            case Name("user", ("id",)):
                return TextField(dialect, devices.user)
            case Name("user", ("locale" | "time_zone" as key,)):
                return TextField(dialect, users[key])
            case Call((Function.LOWER | Function.UPPER) as function, (Name() as name,)):
                field = self._field(name)
                return None if field is None or field.text is None else field.text.cased(function)
            case Call(Function.LENGTH, (Name() as name,)):
                field = self._field(name)
                return None if field is None else field.length
            case _:
                return None

    def _own_or_users(self, key: str) -> ColumnElement[str]:
        # A device that says nothing of its own has its user's: as the scopes of an audience are made.
        return func.coalesce(func.nullif(self._devices.c[key], ""), self._users.c[key])


def _is_known(expression: Expression) -> bool:
    return next(names_in(expression), None) is None


def _two(clause: ColumnElement[bool]) -> Sides:
    """Of a clause that is never NULL."""
    return Sides(clause, not_(clause))


def _all_exact(parts: list[Sides]) -> bool:
    return all(part.exact for part in parts)
