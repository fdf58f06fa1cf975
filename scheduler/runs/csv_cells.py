"""The CSV form of devices: which columns there are, and how a cell is read and written.

One line is one device; a cell cannot hold the end of a line. So a quote that is not closed costs its own line only.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from scheduler.conditions.types import UNDECLARED, FieldType, Schema, ValueType
from scheduler.diagnostics.diagnostic import did_you_mean
from scheduler.diagnostics.yaml_nodes import core_scalar
from scheduler.domain.errors import OperatorError
from scheduler.runs.json_reading import FieldProblem
from scheduler.runs.registering import TOPIC_SEPARATOR
from scheduler.store.registry_changes import DeviceChange

PLAIN_COLUMNS = ("app", "token", "user", "locale", "time_zone", "topics")
DEVICE_PREFIX = "attributes."
USER_PREFIX = "user.attributes."
REMOVE = "\\null"
"""The cell that removes a value. An empty cell leaves it unchanged."""


def split_row(line: str) -> list[str]:
    """The cells of one line, without its end (RFC 4180, but for line ends inside quotes). ValueError says why not."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader((line,), strict=True))
    except csv.Error as problem:
        closed = "unexpected end of data" not in str(problem)
        raise ValueError(str(problem) if closed else "a quote is not closed in this line") from problem


def read_cell(cell: str, kind: FieldType) -> Any:
    """The value of an attribute's cell: by its declared type, else by YAML 1.2's core types.

    What does not fit its type stays text, so that the check at the door can say what it is.

    >>> read_cell("12", UNDECLARED), read_cell("12", FieldType(ValueType.STRING)), read_cell("\\\\null", UNDECLARED)
    (12, '12', None)
    """
    if cell == REMOVE:
        return None
    match kind.type:
        case ValueType.STRING | ValueType.DATE | ValueType.INSTANT:
            return cell
        case ValueType.ENUM if cell in kind.values:
            return cell
        case ValueType.LIST | ValueType.OBJECT:
            try:
                return msgspec.json.decode(cell)
            except (msgspec.DecodeError, RecursionError):
                return cell
    value = core_scalar(cell)
    if kind.type is ValueType.NUMBER and type(value) is not int and type(value) is not float:
        return cell
    return value


def write_cell(value: object, kind: FieldType) -> str | None:
    """The cell that `read_cell` reads as this value, or None: then CSV cannot hold it, and NDJSON can."""
    if isinstance(value, str):
        cell = value
    else:
        cell = msgspec.json.encode(value).decode()
    if not cell or "\n" in cell or "\r" in cell:
        return None
    back = read_cell(cell, kind)
    return cell if type(back) is type(value) and back == value else None


@dataclass(frozen=True, slots=True)
class _AttributeColumn:
    index: int
    name: str
    kind: FieldType


class Header:
    """The first line of a CSV file, and how the lines below are read by it."""

    def __init__(self, names: Sequence[str], schema: Schema, *, where: str) -> None:
        """OperatorError for a line that is no header: then nothing in the file means anything."""
        self._width = len(names)
        plain = {name: index for index, name in enumerate(names) if name in PLAIN_COLUMNS}
        for index, name in enumerate(names):
            if name in names[:index]:
                raise OperatorError(f"the column {name!r} is there twice", where=f"{where}:1")
            if name not in plain and not _is_attribute(name):
                what = f"unknown column {name!r}" if name else "a column has no name"
                raise OperatorError(what, where=f"{where}:1", hint=_hint(name))
        for name in ("app", "token"):
            if name not in plain:
                raise OperatorError(f"the column {name!r} is missing", where=f"{where}:1", hint=_hint(names[0]))
        self._app, self._token = plain["app"], plain["token"]
        self._texts = [(name, plain[name]) for name in ("user", "locale", "time_zone") if name in plain]
        self._topics = plain.get("topics")
        self._device = _columns(names, DEVICE_PREFIX, schema.devices.fields)
        self._user = _columns(names, USER_PREFIX, schema.users.fields)

    def read(self, line: str) -> DeviceChange | FieldProblem:
        """The change that a line asks for."""
        try:
            cells = split_row(line)
        except ValueError as problem:
            return FieldProblem("", str(problem))
        if len(cells) != self._width:
            return FieldProblem("", f"there are {len(cells)} cells, and {self._width} columns")
        given: dict[str, Any] = {}
        for name, index in self._texts:
            if cell := cells[index].strip():
                given[name] = None if cell == REMOVE else cell
        if self._topics is not None and (cell := cells[self._topics]):
            names = [topic.strip() for topic in cell.split(TOPIC_SEPARATOR)]
            given["topics"] = None if cell == REMOVE else names
        if attributes := {c.name: read_cell(cells[c.index], c.kind) for c in self._device if cells[c.index]}:
            given["attributes"] = attributes
        if attributes := {c.name: read_cell(cells[c.index], c.kind) for c in self._user if cells[c.index]}:
            given["user_attributes"] = attributes
        return DeviceChange(app=cells[self._app].strip(), token=cells[self._token].strip(), **given)


def _is_attribute(name: str) -> bool:
    return any(name.startswith(prefix) and name != prefix for prefix in (DEVICE_PREFIX, USER_PREFIX))


def _columns(names: Sequence[str], prefix: str, fields: Mapping[str, FieldType]) -> list[_AttributeColumn]:
    return [
        _AttributeColumn(index, name[len(prefix) :], fields.get(name[len(prefix) :], UNDECLARED))
        for index, name in enumerate(names)
        if name.startswith(prefix)
    ]


def _hint(name: str) -> str:
    if ";" in name or "\t" in name:
        return "columns are separated by commas"
    known = (*PLAIN_COLUMNS, f"{DEVICE_PREFIX}NAME", f"{USER_PREFIX}NAME")
    return did_you_mean(name, PLAIN_COLUMNS) or f"columns are {', '.join(known)}"
