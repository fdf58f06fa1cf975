"""What is known about the value of an expression before anything is rendered.

A type is a set of kinds: of `event.data.n | default("-")` an integer and a text. The empty set is what nobody knows
anything about. Dates and instants of event data and of attributes are text, as in JSON; `now`, `slot`, `event.time`
and the two instants of a device are instants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from scheduler.conditions.types import FieldType, ValueType
from scheduler.domain.json_values import JsonScalar
from scheduler.rendering.absences import Absent, Why


class Kind(StrEnum):
    """What a value is when a template runs."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    LIST = "list"
    ITERATOR = "iterator"
    """What `map`, `select`, `reverse`, `unique`, `items` and `range` give: good to go through, not to print."""
    OBJECT = "object"
    FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Type:
    """The kinds of a value (none: anything), its possible values if they can be listed, and why it may be missing.

    `item` is the type of a list's items, `fields` are an object's, as far as they are known.
    """

    kinds: frozenset[Kind] = frozenset()
    values: tuple[JsonScalar, ...] = ()
    absent: Absent | None = None
    item: Type | None = None
    fields: tuple[tuple[str, Type], ...] = ()

    @property
    def is_known(self) -> bool:
        return bool(self.kinds)

    def only(self, *kinds: Kind) -> bool:
        """Whether the value is certainly of one of these kinds."""
        return bool(self.kinds) and self.kinds.issubset(kinds)

    def outside(self, *kinds: Kind) -> list[Kind]:
        """The kinds that it can have beside these."""
        return sorted(self.kinds.difference(kinds))

    def present(self) -> Type:
        """The same as something that is there."""
        return self if self.absent is None else replace(self, absent=None)

    def filled(self) -> Type:
        """The same, where the missing `else` of an inline `if` counts as an empty text."""
        if self.absent is None or self.absent.why is not Why.NO_ELSE:
            return self
        return union(self.present(), EMPTY)


ANYTHING = Type()


def of(*kinds: Kind, values: tuple[JsonScalar, ...] = (), item: Type | None = None) -> Type:
    return Type(frozenset(kinds), values, item=item)


TEXT = of(Kind.TEXT)
EMPTY = of(Kind.TEXT, values=("",))
INTEGER = of(Kind.INTEGER)
NUMBER = of(Kind.NUMBER)
BOOLEAN = of(Kind.BOOLEAN)
INSTANT = of(Kind.INSTANT)
FUNCTION = of(Kind.FUNCTION)
NUMERIC = (Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN)
"""Kinds to calculate with; true counts as 1."""

_OF_FIELD: Mapping[ValueType, Type] = {
    ValueType.STRING: TEXT,
    ValueType.INTEGER: INTEGER,
    ValueType.NUMBER: NUMBER,
    ValueType.BOOLEAN: BOOLEAN,
    ValueType.DATE: TEXT,
    ValueType.INSTANT: TEXT,
    ValueType.LIST: of(Kind.LIST),
    ValueType.OBJECT: of(Kind.OBJECT),
    ValueType.ANY: ANYTHING,
}


def of_field(field: FieldType, path: tuple[str, ...]) -> Type:
    """The type of a field of the schema, without whether it may be missing."""
    if field.type is ValueType.ENUM:
        return of_values(field.values)
    if path == ("device", "topics"):
        return of(Kind.LIST, item=TEXT)
    if field.type is ValueType.INSTANT and not (len(path) > 2 and path[1] in ("data", "attributes")):
        return INSTANT
    return _OF_FIELD[field.type]


def of_values(values: tuple[JsonScalar, ...]) -> Type:
    """The type of what is one of these values."""
    kinds = frozenset(kind for value in values for kind in of_json(value).kinds)
    return Type(kinds, values)


def of_json(value: object) -> Type:
    """The type of a constant."""
    match value:
        case bool():
            return of(Kind.BOOLEAN, values=(value,))
        case int():
            return of(Kind.INTEGER, values=(value,))
        case float():
            return of(Kind.NUMBER, values=(value,))
        case str():
            return of(Kind.TEXT, values=(value,))
        case list() | tuple():
            return of(Kind.LIST, item=union(*(of_json(item) for item in value)) if value else None)
        case Mapping():
            return replace(of(Kind.OBJECT), fields=tuple((str(key), of_json(one)) for key, one in value.items()))
    return ANYTHING


def union(*types: Type) -> Type:
    """What is one of several types."""
    first, *others = types
    if all(one == first for one in others):
        return first
    absent = next((one.absent for one in types if one.absent is not None), None)
    if not all(one.kinds for one in types):
        return Type(absent=absent)
    kinds = frozenset[Kind]().union(*(one.kinds for one in types))
    values: tuple[JsonScalar, ...] = ()
    if all(one.values for one in types):
        known = {(type(value), value): value for one in types for value in one.values}
        values = tuple(known.values()) if len(known) <= 100 else ()
    item = first.item if all(one.item == first.item for one in others) else None
    fields = first.fields if all(one.fields == first.fields for one in others) else ()
    return Type(kinds, values, absent, item, fields)


def named(kind: Kind | Type) -> str:
    """A kind as people say it: `a text`, `an integer`; of a type that can be several, all of them."""
    if isinstance(kind, Type):
        return " or ".join(named(one) for one in sorted(kind.kinds)) or "anything"
    return f"an {kind}" if kind.value[0] in "aeio" else f"a {kind}"
