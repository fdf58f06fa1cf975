"""`clarion devices export`: the active devices as CSV or NDJSON, streaming, such that an import makes them again.

Retired devices stay out, since an import would make active ones of them; so do users without a device. Opt-outs are
not a device's field: they are set through the API and kept by the registry.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import BinaryIO

import msgspec

from scheduler.conditions.types import UNDECLARED, FieldType, Schema
from scheduler.domain.errors import OperatorError
from scheduler.domain.json_values import JsonObject
from scheduler.runs.csv_cells import DEVICE_PREFIX, PLAIN_COLUMNS, USER_PREFIX, write_cell
from scheduler.runs.registering import TOPIC_SEPARATOR
from scheduler.store.database import Store
from scheduler.store.registry import Found, attribute_names, list_devices

_PAGE = 1000


class ExportFormat(StrEnum):
    """NDJSON holds everything; CSV holds what fits into the cells of a table."""

    CSV = "csv"
    NDJSON = "ndjson"


def export_devices(store: Store, out: BinaryIO, *, form: ExportFormat, schema: Schema) -> int:
    """Write all active devices in the order of their numbers; returns how many.

    Each page is a snapshot of its own, so that a long export never holds back the database. OperatorError for a value
    that would come back from CSV as another one.
    """
    count = 0
    table = None
    if form is ExportFormat.CSV:
        with store.read() as tx:
            table = _Table(*attribute_names(tx), schema)
        out.write(_csv_line(table.header))
    for found in _active_devices(store):
        out.write(msgspec.json.encode(_fields(found)) + b"\n" if table is None else _csv_line(table.cells(found)))
        count += 1
    return count


def _active_devices(store: Store) -> Iterator[Found]:
    after = 0
    while True:
        with store.read() as tx:
            page = list_devices(tx, after=after, limit=_PAGE, active_only=True)
        if not page:
            return
        yield from page
        after = page[-1].device.id


def _fields(found: Found) -> dict[str, object]:
    device = found.device
    fields: dict[str, object] = {
        "app": device.app,
        "token": device.token,
        "user": device.user,
        "locale": device.locale,
        "time_zone": device.time_zone,
        "topics": device.topics,
        "attributes": device.attributes,
        "user_attributes": found.user.attributes if found.user else None,
    }
    return {name: value for name, value in fields.items() if value}


class _Table:
    """The columns of a CSV export, and the cells of a device in them."""

    def __init__(self, device_names: Sequence[str], user_names: Sequence[str], schema: Schema) -> None:
        self._device = [(name, schema.devices.fields.get(name, UNDECLARED)) for name in device_names]
        self._user = [(name, schema.users.fields.get(name, UNDECLARED)) for name in user_names]
        self.header = [
            *PLAIN_COLUMNS,
            *(DEVICE_PREFIX + name for name in device_names),
            *(USER_PREFIX + name for name in user_names),
        ]

    def cells(self, found: Found) -> list[str]:
        device = found.device
        of_user = found.user.attributes if found.user else {}
        return [
            device.app,
            device.token,
            device.user or "",
            device.locale or "",
            device.time_zone or "",
            TOPIC_SEPARATOR.join(device.topics),
            *(_cell(device.attributes, name, kind, device.id) for name, kind in self._device),
            *(_cell(of_user, name, kind, device.id) for name, kind in self._user),
        ]


def _cell(attributes: JsonObject, name: str, kind: FieldType, number: int) -> str:
    if name not in attributes:
        return ""
    cell = write_cell(attributes[name], kind)
    if cell is None:
        raise OperatorError(
            f"device {number}: {name!r} is {attributes[name]!r:.60}, which a CSV cell cannot hold",
            hint="export with --format ndjson, or declare the attribute's type in schema.yaml",
        )
    return cell


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode()
