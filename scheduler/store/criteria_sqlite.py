"""How SQLite says what conditions ask.

Numbers: SQLite promises to read the first 15 digits of a fraction, Python reads all (sqlite.org: Floating Point
Numbers). Integers inside JSON are compared exactly, fractions with a margin; so comparisons with numbers inside JSON
are never `exact`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, and_, case, cast, func, literal, not_, or_, select

from scheduler.conditions.expressions import Comparison, Function
from scheduler.store.criteria_fields import Dialect, JsonField, NumberField, Sides, TextField, apply, roughly

# SQLite's paths have no escapes inside quotes, and compare keys with the JSON text as it is written: only keys that
# are written as they are can be looked up (RFC 8259, section 7, on what must be escaped; we escape nothing else).
_LITERAL_KEY = re.compile(r'[^"\\\x00-\x1f\ud800-\udfff]+')


class _Sqlite:
    def json(self, column: ColumnElement[Any], keys: Sequence[str]) -> JsonField | None:
        if not all(_LITERAL_KEY.fullmatch(key) for key in keys):
            return None
        return _Json(column, "$" + "".join(f'."{key}"' for key in keys))

    def ordered(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return text  # BINARY, the collation of all our columns, compares the bytes of UTF-8: by code point

    def number(self, value: int | float) -> ColumnElement[Any]:
        return literal(value)

    def position(self, text: ColumnElement[Any], part: str) -> ColumnElement[Any]:
        return func.instr(text, part)

    def until(self, text: ColumnElement[Any], sign: str) -> ColumnElement[Any]:
        return func.substr(text, 1, func.instr(text.concat(sign), sign) - 1)

    def ascii_cased(self, text: ColumnElement[Any], function: Function) -> ColumnElement[Any]:
        return func.lower(text) if function is Function.LOWER else func.upper(text)

    def is_ascii(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        return func.length(cast(text, LargeBinary)) == func.length(text)


SQLITE: Dialect = _Sqlite()


@dataclass(frozen=True, slots=True)
class _Json(JsonField):
    """Told apart by json_type(): text, integer, real, true, false, null, array, object, or NULL."""

    column: ColumnElement[Any]
    path: str

    @property
    def kind(self) -> ColumnElement[Any]:
        return func.json_type(self.column, self.path)

    @property
    def value(self) -> ColumnElement[Any]:
        return func.json_extract(self.column, self.path)

    @property
    def text(self) -> TextField:
        return TextField(SQLITE, case({"text": self.value}, value=self.kind))

    @property
    def length(self) -> NumberField:
        of_list = func.json_array_length(self.column, self.path)
        return NumberField(SQLITE, case({"text": func.length(self.value), "array": of_list}, value=self.kind))

    def is_boolean(self, value: bool) -> ColumnElement[bool]:
        return self.kind == ("true" if value else "false")

    def number(self, comparison: Comparison, value: int | float) -> tuple[ColumnElement[bool], bool]:
        integer, real = apply(comparison, self.value, value), roughly(SQLITE, comparison, self.value, value)
        return case({"integer": integer, "real": real}, value=self.kind), False

    def list_contains(self, text: str) -> Sides:
        item = func.json_each(self.column, self.path).table_valued("type", "value")
        is_it = and_(item.c.type == "text", item.c.value == text)
        found = select(item.c.type).where(is_it).exists()
        doubtful = select(item.c.type).where(or_(is_it, item.c.type != "text")).exists()
        is_list = self.kind == "array"
        return Sides(and_(is_list, found), and_(is_list, not_(doubtful)))
