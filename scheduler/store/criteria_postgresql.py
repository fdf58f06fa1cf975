"""How PostgreSQL says what conditions ask: JSON through jsonb, whatever the type of the column is.

Numbers: jsonb keeps a fraction as the decimal that was written. The shortest decimals of fractions, which is what we
write, are in the order of the fractions themselves, and also in order with the integers up to 2^53. A comparison with
a number within that is exact; beyond it has a margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Numeric, Text, case, cast, collate, func, literal, not_
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from scheduler.conditions.expressions import Comparison, Function
from scheduler.conditions.value_checks import unsafe_text
from scheduler.store.criteria_fields import Dialect, JsonField, NumberField, Sides, TextField, apply, roughly

_EXACT = 2**53
_NOT_ANOTHER_TEXT = 'strict $[*] ? (@.type() != "string" || @ == $text)'


class _Postgresql:
    def json(self, column: ColumnElement[Any], keys: Sequence[str]) -> JsonField | None:
        if any(unsafe_text(key) for key in keys):
            return None
        holder: ColumnElement[Any] = cast(column, JSONB)
        for key in keys[:-1]:
            holder = _item(holder, key)
        return _Json(holder, keys[-1])

    def ordered(self, text: ColumnElement[Any]) -> ColumnElement[Any]:
        return collate(text, "C")

    def number(self, value: int | float) -> ColumnElement[Any]:
        return literal(value if isinstance(value, int) else Decimal(value))

    def position(self, text: ColumnElement[Any], part: str) -> ColumnElement[Any]:
        return func.strpos(text, part)

    def until(self, text: ColumnElement[Any], sign: str) -> ColumnElement[Any]:
        return func.split_part(text, sign, 1)

    def ascii_cased(self, text: ColumnElement[Any], function: Function) -> ColumnElement[Any]:
        plain = collate(text, "C")
        return func.lower(plain) if function is Function.LOWER else func.upper(plain)

    def is_ascii(self, text: ColumnElement[Any]) -> ColumnElement[bool]:
        return func.octet_length(text) == func.length(text)


POSTGRESQL: Dialect = _Postgresql()


@dataclass(frozen=True, slots=True)
class _Json(JsonField):
    """Told apart by jsonb_typeof(): string, number, boolean, null, array, object, or NULL."""

    holder: ColumnElement[Any]
    key: str

    @property
    def kind(self) -> ColumnElement[Any]:
        return func.jsonb_typeof(self.value)

    @property
    def value(self) -> ColumnElement[Any]:
        return _item(self.holder, self.key)

    @property
    def text(self) -> TextField:
        return TextField(POSTGRESQL, case({"string": self._characters}, value=self.kind))

    @property
    def length(self) -> NumberField:
        of_text, of_list = func.length(self._characters), func.jsonb_array_length(self.value)
        return NumberField(POSTGRESQL, case({"string": of_text, "array": of_list}, value=self.kind))

    @property
    def _characters(self) -> ColumnElement[Any]:
        return self.holder.op("->>", return_type=Text())(literal(self.key, Text))

    def is_boolean(self, value: bool) -> ColumnElement[bool]:
        return self.value == literal(value, JSONB)

    def number(self, comparison: Comparison, value: int | float) -> tuple[ColumnElement[bool], bool]:
        exact = abs(value) <= _EXACT
        number = cast(self.value, Numeric)
        clause = (
            apply(comparison, number, Decimal(repr(value))) if exact else roughly(POSTGRESQL, comparison, number, value)
        )
        return case({"number": clause}, value=self.kind), exact

    def list_contains(self, text: str) -> Sides:
        found = self.value.op("@>", is_comparison=True)(literal([text], JSONB))  # of lists alone
        path, variables = cast(literal(_NOT_ANOTHER_TEXT), JSONPATH), literal({"text": text}, JSONB)
        only_others = not_(func.jsonb_path_exists(self.value, path, variables))
        return Sides(found, case({"array": only_others}, value=self.kind))


def _item(holder: ColumnElement[Any], key: str) -> ColumnElement[Any]:
    # Neither `#>` nor a subscript: they would take "0" for the first item of a list.
    return holder.op("->", return_type=JSONB())(literal(key, Text))
