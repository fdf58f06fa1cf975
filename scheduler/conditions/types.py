"""The types of names: what is built in, and what schema.yaml declares about events, users and devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from scheduler.conditions import value_checks
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.domain.json_values import JsonObject, JsonScalar


class ValueType(StrEnum):
    """What a value is. The first seven and `list` and `object` can be written in schema.yaml."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    INSTANT = "instant"
    ENUM = "enum"
    LIST = "list"
    OBJECT = "object"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of one name, whether it may be missing, and whether somebody declared it."""

    type: ValueType
    optional: bool = False
    values: tuple[JsonScalar, ...] = ()
    """The values of an enum."""
    declared: bool = True

    def problem_of(self, value: object) -> str | None:
        """What is wrong with a value (not null) for this type, as the end of a sentence; None when nothing is."""
        return value_checks.problem_of(self.type, self.values, value)


UNDECLARED = FieldType(ValueType.ANY, optional=True, declared=False)
"""What nobody declared: any type, and it may be missing."""


@dataclass(frozen=True, slots=True)
class Section:
    """The fields of one kind of object. `open`: names that are not declared may be there too."""

    fields: Mapping[str, FieldType] = field(default_factory=dict)
    open: bool = False


OPEN_SECTION = Section(open=True)


@dataclass(frozen=True, slots=True)
class UnknownName:
    """No such name: `path[position]` is the word that is not known, `known` the words that would be."""

    position: int
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """What schema.yaml declares. Without that file everything is undeclared: see `Schema.undeclared`.

    `open_events`: types of events that are not declared may come, with any data.
    """

    events: Mapping[str, Section] = field(default_factory=dict)
    users: Section = OPEN_SECTION
    devices: Section = OPEN_SECTION
    open_events: bool = True

    @classmethod
    def undeclared(cls) -> Schema:
        """The schema of a workspace that has none: every name is known, of any type, and may be missing."""
        return cls()

    def event_data(self, event_type: str | None) -> Section:
        """The data of a type of event. A final `*` in it stands for all types that begin so.

        Of several types a field is declared when one of them declares it; it may be missing when one of them does
        not have it for sure, and it is of any type when they disagree. An undeclared type has open data.
        """
        if event_type is None:
            return OPEN_SECTION
        if not event_type.endswith("*"):
            return self.events.get(event_type, OPEN_SECTION)
        prefix = event_type[:-1]
        sections = [section for name, section in self.events.items() if name.startswith(prefix)]
        if not sections:
            return OPEN_SECTION
        names = dict.fromkeys(name for section in sections for name in section.fields)
        merged = {name: _merged([section.fields.get(name) for section in sections]) for name in names}
        return Section(merged, open=self.open_events or any(section.open for section in sections))

    def field(self, path: tuple[str, ...], event_type: str | None = None) -> FieldType | UnknownName:
        """The type of a dotted name, as `("user", "attributes", "spend")`. `event_type` is the trigger's,
        for a name of `exit` that of the exit event.

        Everything of `previous` may be missing: there may be no earlier event. `event.subject` counts as present.
        """
        root, rest = path[0], path[1:]
        if root in _SINGLE:
            return _inside(_SINGLE[root], path, 1)
        built_in = _BUILT_IN.get(root)
        if built_in is None:
            return UnknownName(0, (*_BUILT_IN, *_SINGLE))
        if not rest:
            return FieldType(ValueType.OBJECT, optional=root in ("previous", "user"))
        if rest[0] not in built_in:
            return UnknownName(1, tuple(built_in))
        found: FieldType | UnknownName
        if len(rest) > 1 and rest[0] in ("data", "attributes"):
            section = {"user": self.users, "device": self.devices}.get(root) or self.event_data(event_type)
            if rest[1] in section.fields:
                found = _inside(section.fields[rest[1]], path, 3)
            else:
                found = UNDECLARED if section.open else UnknownName(2, tuple(section.fields))
        else:
            found = _inside(built_in[rest[0]], path, 2)
        if root == "previous" and isinstance(found, FieldType):
            return dataclasses.replace(found, optional=True)
        return found

    def check_event(self, event_type: str, data: JsonObject) -> list[str]:
        """What is wrong with an event's data: short sentences that name the field. Empty when nothing is."""
        section = self.events.get(event_type)
        if section is None:
            if self.open_events:
                return _check_fields("data", data, OPEN_SECTION.fields, is_open=True, complete=False)
            return [f"type: events of type {event_type!r} are not declared in schema.yaml"]
        return _check_fields("data", data, section.fields, is_open=section.open, complete=True)

    def check_user_attributes(self, changes: JsonObject, *, new: bool) -> list[str]:
        """What is wrong with attributes that are set (null removes one). Only a new user must bring all of them."""
        users = self.users
        return _check_fields("attributes", changes, users.fields, is_open=users.open, complete=new)

    def check_device_attributes(self, changes: JsonObject, *, new: bool) -> list[str]:
        """The same for a device."""
        devices = self.devices
        return _check_fields("attributes", changes, devices.fields, is_open=devices.open, complete=new)


def _check_fields(
    where: str, values: Mapping[str, object], fields: Mapping[str, FieldType], *, is_open: bool, complete: bool
) -> list[str]:
    """Sentences about what is wrong in `values`, each beginning with the field's name below `where`.

    `complete`: a required field that is not there is a problem. Null is the same as missing; a required field that
    is set to null is a problem always.
    """
    problems = []
    for name, value in values.items():
        declared = fields.get(name)
        problem = value_checks.unsafe(value) or value_checks.unsafe_text(name)
        if problem is None and declared is None and not is_open:
            hint = did_you_mean(name, fields)
            problem = "is not declared in schema.yaml" + (f"; {hint}" if hint else "")
        elif problem is None and declared is not None:
            if value is not None:
                problem = declared.problem_of(value)
            elif not declared.optional:
                problem = "must be there and is null"
        if problem is not None:
            problems.append(f"{where}.{_printable(name)} {problem}")
    if complete:
        problems.extend(
            f"{where}.{name} is missing"
            for name, declared in fields.items()
            if not declared.optional and name not in values
        )
    return problems


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _inside(outer: FieldType, path: tuple[str, ...], depth: int) -> FieldType | UnknownName:
    """The type of what is `depth` words down in `path`: only objects have anything inside, and it is undeclared."""
    if len(path) <= depth:
        return outer
    return UNDECLARED if outer.type in (ValueType.OBJECT, ValueType.ANY) else UnknownName(depth, ())


def _merged(candidates: list[FieldType | None]) -> FieldType:
    present = [candidate for candidate in candidates if candidate is not None]
    optional = len(present) < len(candidates) or any(candidate.optional for candidate in present)
    same = all((one.type, one.values) == (present[0].type, present[0].values) for one in present)
    return dataclasses.replace(present[0] if same else FieldType(ValueType.ANY), optional=optional)


_TEXT = FieldType(ValueType.STRING)
_TEXT_OR_MISSING = FieldType(ValueType.STRING, optional=True)
_INSTANT = FieldType(ValueType.INSTANT)
_SINGLE: Mapping[str, FieldType] = MappingProxyType(
    {"now": _INSTANT, "today": FieldType(ValueType.DATE), "slot": _INSTANT}
)
_EVENT: Mapping[str, FieldType] = MappingProxyType(
    {
        "id": _TEXT,
        "source": _TEXT,
        "type": _TEXT,
        "subject": _TEXT,
        "time": _INSTANT,
        "data": FieldType(ValueType.OBJECT),
    }
)
_BUILT_IN: Mapping[str, Mapping[str, FieldType]] = MappingProxyType(
    {
        "event": _EVENT,
        "previous": _EVENT,
        "exit": _EVENT,
        "user": {
            "id": _TEXT,
            "attributes": FieldType(ValueType.OBJECT),
            "locale": _TEXT_OR_MISSING,
            "time_zone": _TEXT_OR_MISSING,
        },
        "device": {
            "id": FieldType(ValueType.INTEGER),
            "app": _TEXT,
            "locale": _TEXT_OR_MISSING,
            "language": _TEXT_OR_MISSING,
            "time_zone": _TEXT_OR_MISSING,
            "environment": _TEXT,
            "topics": FieldType(ValueType.LIST),
            "attributes": FieldType(ValueType.OBJECT),
            "registered_at": FieldType(ValueType.INSTANT, optional=True),
            "last_seen_at": FieldType(ValueType.INSTANT),
        },
    }
)
