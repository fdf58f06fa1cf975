"""Sample values for the variables of a template, by the types of schema.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from scheduler.conditions.types import FieldType, Schema, ValueType
from scheduler.domain.json_values import Json
from scheduler.rendering.paths import Path

_INSTANT = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
_VALUES: dict[ValueType, Json] = {
    ValueType.STRING: "Sample text",
    ValueType.INTEGER: 7,
    ValueType.NUMBER: 9.5,
    ValueType.BOOLEAN: True,
    ValueType.DATE: "2026-11-27",
    ValueType.INSTANT: "2026-11-27T09:00:00Z",
    ValueType.LIST: ["Sample text"],
    ValueType.OBJECT: {"sample": "Sample text"},
    ValueType.ANY: "Sample text",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """Names for a render. `declared`: all of them have types, so a failure is the template's fault."""

    scope: dict[str, object]
    declared: bool


def samples(paths: Iterable[Path], schema: Schema, event_type: str | None) -> tuple[Sample, ...]:
    """A sample with everything there, and one without what is declared as optional."""
    typed = [(path, _type_of(path, schema, event_type)) for path in paths]
    declared = all(found is not None and found.declared for _, found in typed)
    full, sparse = dict[str, object](), dict[str, object]()
    for path, found in typed:
        value = _value(path, found)
        _put(full, path, value)
        if found is None or not (found.optional and found.declared):
            _put(sparse, path, value)
    return (Sample(full, declared),) if full == sparse else (Sample(full, declared), Sample(sparse, declared))


def _type_of(path: Path, schema: Schema, event_type: str | None) -> FieldType | None:
    words = _words(path)
    found = schema.field(words, event_type)
    return found if isinstance(found, FieldType) and len(words) == len(path) else None


def _words(path: Path) -> tuple[str, ...]:
    """The part of a path before the first index of a list."""
    numbers = [at for at, key in enumerate(path) if not isinstance(key, str)]
    return tuple(str(key) for key in path[: numbers[0] if numbers else None])


def _value(path: Path, found: FieldType | None) -> object:
    if found is None:
        return ["Sample text"] if len(_words(path)) < len(path) else "Sample text"
    if found.type is ValueType.INSTANT and "data" not in path[:2] and "attributes" not in path[:2]:
        return _INSTANT
    if found.values:
        return max(found.values, key=lambda value: len(str(value)))
    return _VALUES[found.type]


def _put(scope: dict[str, object], path: Path, value: object) -> None:
    words = _words(path)
    for word in words[:-1]:
        inner = scope.get(word)
        if not isinstance(inner, dict):
            inner = scope[word] = {}
        scope = inner
    if not isinstance(scope.get(words[-1]), dict):
        scope[words[-1]] = value
