"""Where a value of a condition is in the database, and its comparison with a constant in SQL.

Every comparison is made as two clauses, where it is true and where it is false; both are NULL or false where the value
is missing or of another type, for then it is unknown.

Numbers: SQLite promises to read the first 15 digits of a fraction, Python reads all (sqlite.org: Floating Point
Numbers). Integers inside JSON are compared exactly, fractions with a margin; so comparisons with numbers inside JSON
are never `exact`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, literal, true

from scheduler.conditions.expressions import Comparison

_OPPOSITE = {
    Comparison.EQUAL: Comparison.UNEQUAL,
    Comparison.UNEQUAL: Comparison.EQUAL,
    Comparison.LESS: Comparison.AT_LEAST,
    Comparison.AT_LEAST: Comparison.LESS,
    Comparison.GREATER: Comparison.AT_MOST,
    Comparison.AT_MOST: Comparison.GREATER,
}


@dataclass(frozen=True, slots=True)
class Sides:
    """Where an expression may be true, and where it may be false; with `exact`, where it is."""

    true: ColumnElement[bool]
    false: ColumnElement[bool]
    exact: bool = True


KEEP = Sides(true(), true(), exact=False)
UNKNOWN = Sides(false(), false())


@dataclass(frozen=True, slots=True)
class JsonField:
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

    def compare(self, comparison: Comparison, value: object) -> Sides:
        if isinstance(value, bool):
            if comparison not in (Comparison.EQUAL, Comparison.UNEQUAL):
                return UNKNOWN
            same, other = (self.kind == word for word in (("true", "false") if value else ("false", "true")))
            return Sides(same, other) if comparison is Comparison.EQUAL else Sides(other, same)
        if isinstance(value, str):
            return Sides(_apply(comparison, self.text, value), _apply(_OPPOSITE[comparison], self.text, value))
        if isinstance(value, int | float):
            true_side, false_side = self._number(comparison, value), self._number(_OPPOSITE[comparison], value)
            return Sides(true_side, false_side, exact=False)
        return UNKNOWN

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
class ColumnField:
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

    def compare(self, comparison: Comparison, value: object) -> Sides:
        constant = self.of(value)
        if constant is None:
            return UNKNOWN
        return Sides(_apply(comparison, self.value, constant), _apply(_OPPOSITE[comparison], self.value, constant))


def _apply(comparison: Comparison, column: ColumnElement[Any], value: str | int | float) -> ColumnElement[bool]:
    return column.op(str(comparison), is_comparison=True)(literal(value))
