"""The filters, tests, functions and string methods of templates: what they take and what they give.

What is not sure is left out: a false alarm is worse than a miss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.rendering.expression_types import ANYTHING, BOOLEAN, INTEGER, NUMBER, NUMERIC, TEXT, Kind, Type, of

_SIZED = frozenset({Kind.TEXT, Kind.LIST, Kind.OBJECT})
_MANY = frozenset({Kind.TEXT, Kind.LIST, Kind.OBJECT, Kind.ITERATOR})
_ANY = frozenset[Kind]()
_NUMERIC = frozenset(NUMERIC)
_TEXT = frozenset({Kind.TEXT})
LISTED = of(Kind.LIST)
ITERATOR = of(Kind.ITERATOR)


@dataclass(frozen=True, slots=True)
class Signature:
    """The kinds that an operand may have (none: any), the least and the most arguments behind it, and the result."""

    takes: frozenset[Kind]
    gives: Type
    least: int = 0
    most: int = 0
    keywords: frozenset[str] = frozenset()
    hint: str | None = None


def _signature(takes: frozenset[Kind], gives: Type, least: int = 0, most: int = 0, words: str = "",
               hint: str | None = None) -> Signature:  # fmt: skip
    return Signature(takes, gives, least, most, frozenset(words.split()), hint)


ANY_NUMBER = 99
"""Of arguments."""
_READ = "read text as a number with `| int` or `| float`"

FILTERS: Mapping[str, Signature] = {
    "abs": _signature(_NUMERIC, ANYTHING, hint=_READ),
    "capitalize": _signature(_ANY, TEXT),
    "count": _signature(_SIZED, INTEGER),
    "d": _signature(_ANY, ANYTHING, 0, 2, "otherwise also_empty"),
    "default": _signature(_ANY, ANYTHING, 0, 2, "otherwise also_empty"),
    "dictsort": _signature(frozenset({Kind.OBJECT}), LISTED, 0, 3, "case_sensitive by reverse"),
    "first": _signature(_MANY, ANYTHING),
    "float": _signature(_ANY, NUMBER, 0, 1, "default"),
    "format": _signature(_ANY, TEXT, 0, ANY_NUMBER),
    "int": _signature(_ANY, INTEGER, 0, 2, "default base"),
    "items": _signature(frozenset({Kind.OBJECT}), ITERATOR),
    "join": _signature(_MANY, TEXT, 0, 2, "d attribute"),
    "last": _signature(_SIZED, ANYTHING),
    "length": _signature(_SIZED, INTEGER),
    "list": _signature(_MANY, LISTED),
    "lower": _signature(_ANY, TEXT),
    "map": _signature(_MANY, ITERATOR, 0, ANY_NUMBER),
    "max": _signature(_MANY, ANYTHING, 0, 2, "case_sensitive attribute"),
    "min": _signature(_MANY, ANYTHING, 0, 2, "case_sensitive attribute"),
    "omit": _signature(_ANY, ANYTHING),
    "reject": _signature(_MANY, ITERATOR, 0, ANY_NUMBER),
    "replace": _signature(_ANY, TEXT, 2, 2, "old new"),
    "reverse": _signature(_MANY, ANYTHING),
    "round": _signature(_NUMERIC, NUMBER, 0, 2, "digits method", _READ),
    "select": _signature(_MANY, ITERATOR, 0, ANY_NUMBER),
    "sort": _signature(_MANY, LISTED, 0, 3, "reverse case_sensitive attribute"),
    "string": _signature(_ANY, TEXT),
    "sum": _signature(_MANY, ANYTHING, 0, 2, "attribute start"),
    "title": _signature(_ANY, TEXT),
    "trim": _signature(_ANY, TEXT, 0, 1, "chars"),
    "truncate": _signature(_SIZED, TEXT, 0, 4, "length killwords end leeway"),
    "unique": _signature(_MANY, ITERATOR, 0, 2, "case_sensitive attribute"),
    "upper": _signature(_ANY, TEXT),
    "urlencode": _signature(_ANY, TEXT),
    "wordcount": _signature(_ANY, INTEGER),
}
TEST_ARGUMENTS: Mapping[str, int] = dict.fromkeys(
    ("!=", "<", "<=", "==", ">", ">=", "eq", "ne", "lt", "le", "gt", "ge", "in", "divisibleby"), 1
)
"""How many values a test needs behind its name; the others need none."""
NUMBER_TESTS = frozenset({"divisibleby", "even", "odd"})
PATIENT_TESTS = frozenset({
    "defined", "undefined", "string", "number", "mapping", "sequence", "boolean", "integer", "float", "true", "false",
})  # fmt: skip
"""Tests that have an answer for what is missing."""
CATCHING = frozenset({"default", "d", "omit"})
"""Filters that have an answer for what is missing."""

_TEXT_METHODS: Mapping[str, Signature] = {
    "capitalize": _signature(_TEXT, TEXT), "casefold": _signature(_TEXT, TEXT),
    "count": _signature(_TEXT, INTEGER, 1, 3), "endswith": _signature(_TEXT, BOOLEAN, 1, 3),
    "find": _signature(_TEXT, INTEGER, 1, 3), "isalpha": _signature(_TEXT, BOOLEAN),
    "isdigit": _signature(_TEXT, BOOLEAN), "isnumeric": _signature(_TEXT, BOOLEAN),
    "isspace": _signature(_TEXT, BOOLEAN), "lower": _signature(_TEXT, TEXT), "lstrip": _signature(_TEXT, TEXT, 0, 1),
    "removeprefix": _signature(_TEXT, TEXT, 1, 1), "removesuffix": _signature(_TEXT, TEXT, 1, 1),
    "rsplit": _signature(_TEXT, of(Kind.LIST, item=TEXT), 0, 2, "sep maxsplit"),
    "rstrip": _signature(_TEXT, TEXT, 0, 1),
    "split": _signature(_TEXT, of(Kind.LIST, item=TEXT), 0, 2, "sep maxsplit"),
    "startswith": _signature(_TEXT, BOOLEAN, 1, 3), "strip": _signature(_TEXT, TEXT, 0, 1),
    "swapcase": _signature(_TEXT, TEXT), "title": _signature(_TEXT, TEXT), "upper": _signature(_TEXT, TEXT),
}  # fmt: skip
_INSTANT_METHODS: Mapping[str, Signature] = {
    "date": _signature(_ANY, ANYTHING), "isoformat": _signature(_ANY, TEXT, 0, 2, "sep timespec"),
    "isoweekday": _signature(_ANY, INTEGER), "strftime": _signature(_ANY, TEXT, 1, 1, "format"),
    "time": _signature(_ANY, ANYTHING), "timestamp": _signature(_ANY, NUMBER), "weekday": _signature(_ANY, INTEGER),
}  # fmt: skip
METHODS: Mapping[Kind, Mapping[str, Signature]] = {Kind.TEXT: _TEXT_METHODS, Kind.INSTANT: _INSTANT_METHODS}
"""What a text and an instant can do, as `event.data.home.upper()`."""
FUNCTIONS: Mapping[str, Signature] = {
    "range": _signature(_ANY, of(Kind.ITERATOR, item=INTEGER), 1, 3),
    "abort": _signature(_ANY, ANYTHING, 1, 1),
}
