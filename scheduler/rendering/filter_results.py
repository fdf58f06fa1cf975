"""What filters make of the types that they are given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scheduler.rendering.expression_types import ANYTHING, EMPTY, INTEGER, NUMERIC, TEXT, Kind, Type, named, of, union
from scheduler.rendering.signatures import Signature

_WORDS = {Kind.INTEGER: "a number", Kind.NUMBER: "a number", Kind.BOOLEAN: "a number", Kind.OBJECT: "a mapping",
          Kind.ITERATOR: "a list"}  # fmt: skip


def defaulted(operand: Type, arguments: Sequence[Type], keywords: Mapping[str, Type]) -> Type:
    """`operand | default(otherwise, also_empty)`."""
    otherwise = arguments[0] if arguments else keywords.get("otherwise", EMPTY)
    also_empty = len(arguments) > 1 or "also_empty" in keywords
    operand = operand.filled()
    if operand.absent is None and not also_empty:
        return operand
    return union(operand.present(), otherwise)


def filtered(name: str, operand: Type, signature: Signature) -> Type:
    """The result of another filter."""
    match name:
        case "omit":
            return union(operand.present(), EMPTY) if operand.is_known else ANYTHING
        case "abs":
            whole = operand.only(Kind.INTEGER, Kind.BOOLEAN)
            return INTEGER if whole else (of(Kind.INTEGER, Kind.NUMBER) if operand.only(*NUMERIC) else ANYTHING)
        case "list" | "sort" | "unique" if operand.item is not None:
            return replace(signature.gives, item=operand.item)
        case "reverse" if operand.only(Kind.TEXT):
            return TEXT
        case "reverse" if operand.only(Kind.LIST):
            return of(Kind.ITERATOR)
        case "string" if operand.only(Kind.TEXT):
            return operand.present()
    return signature.gives


def any_of(kinds: Iterable[Kind]) -> str:
    """Several kinds as people say them."""
    return " or ".join(sorted({_WORDS.get(kind) or named(kind) for kind in kinds}))


def how_many(least: int, most: int) -> str:
    """`no value`, `1 value`, `1 to 3 values`."""
    numbers = str(least) if least == most else f"{least} to {most}"
    return "no value" if most == 0 else f"{numbers} value{'s' if most > 1 else ''}"
