"""The syntax tree of a checked condition: what is left once positions and types have done their work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
    operand: Name | Constant


@dataclass(frozen=True, slots=True)
class Default:
    """`operand | default(fallback, empty_too)`: missing and null, and where `empty_too` the empty string."""

    operand: Expression
    fallback: Expression
    empty_too: bool = False


Expression: TypeAlias = Constant | Name | ListOf | Compare | In | Not | And | Or | Sum | IsDefined | Default


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions right below one, in the order of the text."""
    match expression:
        case Constant() | Name():
            return ()
        case ListOf(items):
            return items
        case Compare(_, left, right) | Sum(left, right, _):
            return left, right
        case In(item, container):
            return item, container
        case And(operands) | Or(operands):
            return operands
        case Not(operand) | IsDefined(operand):
            return (operand,)
        case Default(operand, fallback, _):
            return operand, fallback


def names_in(expression: Expression) -> Iterator[Name]:
    """Every name of an expression, in the order of the text; repeated where it is used again."""
    if isinstance(expression, Name):
        yield expression
    for child in children(expression):
        yield from names_in(child)


def is_boolean(expression: Expression) -> bool:
    """Whether the value is true, false or unknown whatever the scope holds."""
    match expression:
        case Compare() | In() | Not() | And() | Or() | IsDefined():
            return True
        case Constant(value):
            return value is None or isinstance(value, bool)
        case _:
            return False
