"""The syntax tree of a checked condition: what is left once positions and types have done their work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from enum import StrEnum
from typing import TypeAlias


class Comparison(StrEnum):
    EQUAL = "=="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="

    @property
    def mirrored(self) -> Comparison:
        """The comparison that says the same with its sides exchanged."""
        return _MIRRORED.get(self, self)


_MIRRORED = {
    Comparison.LESS: Comparison.GREATER,
    Comparison.GREATER: Comparison.LESS,
    Comparison.AT_MOST: Comparison.AT_LEAST,
    Comparison.AT_LEAST: Comparison.AT_MOST,
}


class Function(StrEnum):
    """What is computed from values alone, as the language writes it. Unknown as soon as one of the values is."""

    LOWER = "lower"
    UPPER = "upper"
    LENGTH = "length"
    INT = "int"
    FLOAT = "float"
    FIRST = "first"
    LAST = "last"
    STARTS_WITH = "startswith"
    DAYS_BETWEEN = "days_between"
    AGO = "ago"
    """`ago("7 days")` is the function of `now` and a duration."""
    PRODUCT = "*"
    JOIN = "~"
    INSTANT = "instant"
    """Text of JSON read as an instant. Nobody writes it: it stands wherever text stands beside an instant."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal, or a value that became known. None is unknown."""

    value: object


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name: its root, and the keys behind it."""

    root: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.root, *self.keys))


@dataclass(frozen=True, slots=True)
class ListOf:
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    comparison: Comparison
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class In:
    """`item in container`: one of a list, or a part of a string."""

    item: Expression
    container: Expression


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """`left + right`, or `left - right` where `minus`."""

    left: Expression
    right: Expression
    minus: bool = False


@dataclass(frozen=True, slots=True)
class IsDefined:
    operand: Expression


@dataclass(frozen=True, slots=True)
class Default:
    """`operand | default(fallback, empty_too)`: missing and null, and where `empty_too` the empty string."""

    operand: Expression
    fallback: Expression
    empty_too: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the language, a filter, `*` or `~`, with its operands."""

    function: Function
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class WallTime:
    """A date, or a date and time, in the person's zone: an instant once the zone is known."""

    moment: date | datetime


@dataclass(frozen=True, slots=True)
class LocalDate:
    """The date of an instant in the person's zone, as ISO text. What is a date already stays as it is. `zone` is set
    once it is known."""

    operand: Expression
    zone: tzinfo | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """Whether a value differs from that of the previous event. `previous` is that event: unknown without it."""

    after: Expression
    before: Expression
    previous: Expression


Expression: TypeAlias = (
    Constant | Name | ListOf | Compare | In | Not | And | Or | Sum | IsDefined | Default
    | Call | WallTime | LocalDate | Changed
)  # fmt: skip


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions right below one, in the order of the text."""
    match expression:
        case Constant() | Name() | WallTime():
            return ()
        case ListOf(items) | Call(_, items):
            return items
        case Compare(_, left, right) | Sum(left, right, _):
            return left, right
        case In(item, container):
            return item, container
        case And(operands) | Or(operands):
            return operands
        case Not(operand) | IsDefined(operand) | LocalDate(operand, _):
            return (operand,)
        case Changed(after, before, previous):
            return after, before, previous
        case Default(operand, fallback, _):
            return operand, fallback


def names_in(expression: Expression) -> Iterator[Name]:
    """Every name of an expression, in the order of the text; repeated where it is used again."""
    if isinstance(expression, Name):
        yield expression
    for child in children(expression):
        yield from names_in(child)


def reads_zone(expression: Expression) -> bool:
    """Whether the value depends on the person's zone."""
    match expression:
        case WallTime() | LocalDate(_, None):
            return True
        case _:
            return any(map(reads_zone, children(expression)))


def is_boolean(expression: Expression) -> bool:
    """Whether the value is true, false or unknown whatever the scope holds."""
    match expression:
        case Compare() | In() | Not() | And() | Or() | IsDefined() | Changed() | Call(Function.STARTS_WITH):
            return True
        case Constant(value):
            return value is None or isinstance(value, bool)
        case _:
            return False
