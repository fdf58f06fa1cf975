"""Where a value of a condition is in the database, and what SQL says about it.

Every question is answered by two clauses, where it is true and where it is false; both are NULL or false where the
value is missing or of another type, for then it is unknown.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, true

from scheduler.conditions.expressions import Comparison, Function

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OPPOSITE = {
    Comparison.EQUAL: Comparison.UNEQUAL,
    Comparison.UNEQUAL: Comparison.EQUAL,
    Comparison.LESS: Comparison.AT_LEAST,
    Comparison.AT_LEAST: Comparison.LESS,
    Comparison.GREATER: Comparison.AT_MOST,
    Comparison.AT_MOST: Comparison.GREATER,
}
_OPERATORS: Mapping[Comparison, Callable[[Any, Any], ColumnElement[bool]]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.UNEQUAL: operator.ne,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}
_EQUALITY = (Comparison.EQUAL, Comparison.UNEQUAL)
_MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Sides:
    """Where an expression may be true, and where it may be false; with `exact`, where it is."""

    true: ColumnElement[bool]
    false: ColumnElement[bool]
    exact: bool = True

    @property
    def swapped(self) -> Sides:
        """Those of the negation."""
        return Sides(self.false, self.true, self.exact)


KEEP = Sides(true(), true(), exact=False)
UNKNOWN = Sides(false(), false())


class Dialect(Protocol):
    """What a database says in its own way."""

    def json(self, column: ColumnElement[Any], keys: Sequence[str]) -> JsonField | None:
        """The value behind keys in a JSON column; None where these keys cannot be looked up."""

    def ordered(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        """A text that `<` compares by code point."""

    def number(self, value: int | float) -> ColumnElement[Any]:
        """A number as a constant beside an integer column."""

    def position(self, text: ColumnElement[Any], part: str) -> ColumnElement[Any]:
        """Where the part begins in the text, from 1; 0 where it is not in it."""

    def until(self, text: ColumnElement[Any], sign: str) -> ColumnElement[Any]:
        """What is before the first such sign, or all of a text without one."""

    def ascii_cased(self, text: ColumnElement[Any], function: Function) -> ColumnElement[Any]:
        """`lower` or `upper` of a text that is ASCII, and anything of another."""

    def is_ascii(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a text is ASCII only."""


class Field(ABC):
    """A value of a device or its user."""

    @property
    @abstractmethod
    def is_present(self) -> ColumnElement[bool]:
        """Whether it is there. Never NULL."""

    @property
    def text(self) -> TextField | None:
        """The same as a text, if it may be one."""
        return None

    @property
    def length(self) -> NumberField | None:
        """`| length` of it, if it may have one."""
        return None if self.text is None else self.text.length

    @abstractmethod
    def compare(self, comparison: Comparison, value: object) -> Sides:
        """A comparison with a constant of whatever type."""

    def contains(self, part: str) -> Sides:
        """`"part" in field`."""
        return UNKNOWN if self.text is None else self.text.contains(part)


@dataclass(frozen=True, slots=True)
class TextField(Field):
    """A text, NULL where it is none. `doubt`: where the value is another one than `value` says, of which nothing is
    known but that it is a text. Never NULL."""

    dialect: Dialect
    value: ColumnElement[Any]
    doubt: ColumnElement[bool] | None = None

    @property
    def is_present(self) -> ColumnElement[bool]:
        return self.value.is_not(None)

    @property
    def is_empty(self) -> ColumnElement[bool]:
        return func.coalesce(self.value, "x") == ""

    @property
    def text(self) -> TextField:
        return self

    @property
    def length(self) -> NumberField | None:
        return NumberField(self.dialect, func.length(self.value)) if self.doubt is None else None

    def cased(self, function: Function) -> TextField | None:
        """`| lower` or `| upper`: of ASCII alone databases agree with Python."""
        if self.doubt is not None:
            return None
        value = self.dialect.ascii_cased(self.value, function)
        return TextField(self.dialect, value, and_(self.is_present, not_(self.dialect.is_ascii(self.value))))

    def compare(self, comparison: Comparison, value: object) -> Sides:
        if not isinstance(value, str):
            return UNKNOWN
        text = self.value if comparison in _EQUALITY else self.dialect.ordered(self.value)
        return self._doubted(apply(comparison, text, value), apply(_OPPOSITE[comparison], text, value))

    def one_of(self, values: list[str]) -> Sides:
        return self._doubted(self.value.in_(values), self.value.not_in(values))

    def starts_with(self, beginning: str) -> Sides:
        start = func.substr(self.value, 1, len(beginning))
        return self._doubted(start == beginning, start != beginning)

    def contains(self, part: str) -> Sides:
        position = self.dialect.position(self.value, part)
        return self._doubted(position > 0, position == 0)

    def _doubted(self, holds: ColumnElement[bool], fails: ColumnElement[bool]) -> Sides:
        if self.doubt is None:
            return Sides(holds, fails)
        return Sides(or_(self.doubt, holds), or_(self.doubt, fails), exact=False)


@dataclass(frozen=True, slots=True)
class NumberField(Field):
    """An integer of 64 bits."""

    dialect: Dialect
    value: ColumnElement[Any]

    @property
    def is_present(self) -> ColumnElement[bool]:
        return self.value.is_not(None)

    def compare(self, comparison: Comparison, value: object) -> Sides:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return UNKNOWN
        constant = self.dialect.number(value)
        return Sides(apply(comparison, self.value, constant), apply(_OPPOSITE[comparison], self.value, constant))


@dataclass(frozen=True, slots=True)
class InstantField(Field):
    """An instant in milliseconds, compared to the microsecond."""

    milliseconds: ColumnElement[Any]

    @property
    def is_present(self) -> ColumnElement[bool]:
        return self.milliseconds.is_not(None)

    def compare(self, comparison: Comparison, value: object) -> Sides:
        if not isinstance(value, datetime):
            return UNKNOWN
        column, constant = self.milliseconds * 1000, (value - _EPOCH) // _MICROSECOND
        return Sides(apply(comparison, column, constant), apply(_OPPOSITE[comparison], column, constant))


class JsonField(Field):
    """A value inside a JSON column: of any type. Each database tells the types apart in its own way."""

    @property
    @abstractmethod
    def kind(self) -> ColumnElement[Any]:
        """The database's word for its type; "null" where it is null, NULL where it is missing."""

    @property
    def is_present(self) -> ColumnElement[bool]:
        return func.coalesce(self.kind, "null") != "null"

    @property
    @abstractmethod
    def text(self) -> TextField: ...

    @abstractmethod
    def is_boolean(self, value: bool) -> ColumnElement[bool]:
        """Whether it is this of the two."""

    @abstractmethod
    def number(self, comparison: Comparison, value: int | float) -> tuple[ColumnElement[bool], bool]:
        """A comparison with a number, and whether the clause is exact. NULL or false where the value is none."""

    @abstractmethod
    def list_contains(self, text: str) -> Sides:
        """Whether it is a list with this text in it, and whether it is a list of other texts alone."""

    def compare(self, comparison: Comparison, value: object) -> Sides:
        match value:
            case bool() if comparison in _EQUALITY:
                sides = Sides(self.is_boolean(value), self.is_boolean(not value))
                return sides if comparison is Comparison.EQUAL else sides.swapped
            case str():
                return self.text.compare(comparison, value)
            case int() | float() if not isinstance(value, bool):
                holds, exact = self.number(comparison, value)
                return Sides(holds, self.number(_OPPOSITE[comparison], value)[0], exact)
            case _:
                return UNKNOWN

    def contains(self, part: str) -> Sides:
        in_list, in_text = self.list_contains(part), self.text.contains(part)
        exact = in_list.exact and in_text.exact
        return Sides(or_(in_list.true, in_text.true), or_(in_list.false, in_text.false), exact)


def apply(comparison: Comparison, left: ColumnElement[Any], right: object) -> ColumnElement[bool]:
    """A comparison in SQL. What is no clause yet is a constant."""
    return _OPERATORS[comparison](left, right if isinstance(right, ColumnElement) else literal(right))


def within(field: Field, comparison: Comparison, low: object, high: object) -> Sides:
    """A comparison with one of the values from `low` to `high`, nobody knows which."""
    if low == high:
        return field.compare(comparison, low)
    return Sides(_possible(field, comparison, low, high), _possible(field, _OPPOSITE[comparison], low, high), False)


def _possible(field: Field, comparison: Comparison, low: object, high: object) -> ColumnElement[bool]:
    at_least = field.compare(Comparison.AT_LEAST, low).true
    match comparison:
        case Comparison.EQUAL:
            return and_(at_least, field.compare(Comparison.AT_MOST, high).true)
        case Comparison.UNEQUAL:
            return or_(at_least, field.compare(Comparison.LESS, low).true)
        case Comparison.LESS | Comparison.AT_MOST:
            return field.compare(comparison, high).true
        case _:
            return field.compare(comparison, low).true


def roughly(
    dialect: Dialect, comparison: Comparison, number: ColumnElement[Any], value: int | float
) -> ColumnElement[bool]:
    """A comparison with a margin, for a number that the database may have read otherwise than Python."""
    margin = max(abs(value) * _MARGIN, _MARGIN)
    at_least, at_most = number >= dialect.number(value - margin), number <= dialect.number(value + margin)
    match comparison:
        case Comparison.EQUAL:
            return and_(at_least, at_most)
        case Comparison.UNEQUAL:
            return true()
        case Comparison.LESS | Comparison.AT_MOST:
            return at_most
        case _:
            return at_least
