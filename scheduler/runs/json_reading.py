"""JSON that came from outside → typed fields, or one sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from scheduler.diagnostics.diagnostic import did_you_mean

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$\.?(.*)`$")
_EXPECTED = re.compile(r"Expected `(.*)`, got `(.*)`")
_NAMED = re.compile(r"Object (contains unknown|missing required) field `(.*)`")
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with something that was sent. `field` is empty when it is about the whole."""

    field: str
    message: str
    """A sentence that begins with the field."""


def decode_fields(decoder: msgspec.json.Decoder[T], text: bytes | str) -> T | FieldProblem:
    """Decode by a prepared decoder; whatever is wrong with the text comes back as a problem."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        return problem_of(error, _fields_of(decoder.type))
    except msgspec.DecodeError as error:
        return FieldProblem("", f"not JSON: {_reason(error)}")
    except UnicodeDecodeError:
        return FieldProblem("", "not JSON: the text is not UTF-8")
    except RecursionError:
        return FieldProblem("", "nested too deeply")


def problem_of(error: msgspec.ValidationError, known: Sequence[str] = ()) -> FieldProblem:
    """msgspec's finding in our words. `known`: the fields that would have been right.

    >>> problem_of(msgspec.ValidationError("Expected `str | null`, got `int` - at `$.user`")).message
    'user must be a string or null, not an integer'
    """
    text = str(error)
    place = _PLACE.search(text)
    field = place[1] if place else ""
    text = text[: place.start()] if place else text
    if named := _NAMED.fullmatch(text):
        field = f"{field}.{named[2]}" if field else named[2]
        if named[1] == "missing required":
            return FieldProblem(field, f"{field} is missing")
        hint = did_you_mean(named[2], known) or f"known are {', '.join(known)}"
        return FieldProblem(field, f"{field} is not a field; {hint}")
    if expected := _EXPECTED.fullmatch(text):
        wanted = " or ".join(_WORDS.get(word, word) for word in expected[1].split(" | "))
        return FieldProblem(field, f"{field or 'this'} must be {wanted}, not {_WORDS.get(expected[2], expected[2])}")
    return FieldProblem(field, f"{field}: {text}" if field else text)


def _fields_of(kind: object) -> tuple[str, ...]:
    return getattr(kind, "__struct_fields__", ())


def _reason(error: msgspec.DecodeError) -> str:
    return str(error).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it ends too early")
