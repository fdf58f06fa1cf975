"""The Jinja environment of templates: what a template may reach, and how much it may cost.

Laws:
- a mapping has keys and no methods: `event.data.items` is data;
- missing and null are the same, pass through dots, and raise when they are used (never a blank);
- nothing grows without bound: strings, lists, numbers, loops;
- nothing depends on chance or on anything outside the arguments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NoReturn

import msgspec
from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError, TemplateRuntimeError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from scheduler.conditions.jinja_positions import OffsetEnvironment

MAX_TEXT = 65_536
"""Characters that one value of a template may have. A payload has 4,096 bytes."""
MAX_PIECES = 10_000
MAX_REPEAT = 1_000
MAX_RANGE = 1_000
MAX_STEPS = 10_000
_CHARACTERS_A_STEP = 64

_STRING_METHODS = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "isalpha", "isdigit", "isnumeric", "isspace",
    "lower", "lstrip", "removeprefix", "removesuffix", "rsplit", "rstrip", "split", "startswith", "strip",
    "swapcase", "title", "upper",
})  # fmt: skip
_FILTERS = frozenset({
    "abs", "capitalize", "count", "dictsort", "first", "float", "int", "items", "join", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "reverse", "select", "sort",
    "string", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode", "wordcount",
})  # fmt: skip
_TESTS = frozenset({
    "!=", "<", "<=", "==", ">", ">=", "boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge",
    "gt", "in", "integer", "iterable", "le", "lower", "lt", "mapping", "ne", "number", "odd",
    "sequence", "string", "true", "undefined", "upper",
})  # fmt: skip
_WIDE_FORMAT = re.compile(r"\*|\d{3}")
_ENCODE = msgspec.json.Encoder().encode


class MissingVariable(UndefinedError):
    """A missing value was used; `variable` is its whole path."""

    @property
    def variable(self) -> str:
        return self.message or "a value"

    def __str__(self) -> str:
        return f"{self.variable} is missing"


class MissingValue(StrictUndefined):
    """A name without a value. Looking into it gives another; using it raises, naming the whole path."""

    __slots__ = ()

    def __getattr__(self, name: str) -> MissingValue:
        if name.startswith("__"):
            raise AttributeError(name)
        return missing(f"{self._undefined_name}.{name}")

    def __getitem__(self, key: object) -> MissingValue:  # type: ignore[override]
        return missing(f"{self._undefined_name}.{key}")

    @property
    def _undefined_message(self) -> str:
        # Jinja gives an explanation of its own where an attribute exists but is unsafe.
        return self._undefined_hint or str(self._undefined_name)


class Abort(Exception):
    """Raised by a template's `abort("reason")`."""


def missing(path: str) -> MissingValue:
    """The value of a path that has none."""
    return MissingValue(name=path, exc=MissingVariable)


class PayloadEnvironment(OffsetEnvironment, ImmutableSandboxedEnvironment):
    """Jinja, sandboxed and bounded. It has no loader: a template is complete in itself."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=MissingValue, autoescape=False, finalize=finalize, keep_trailing_newline=True)
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters.update({"default": _default, "d": _default, "format": _format, "replace": _replace, "omit": _omit})
        self.filters.update({"round": _round, AS_JSON: _as_json, JOINED: _joined, BOUNDED: _bounded})
        self.filters[COUNTED] = _counted
        self.tests = {name: self.tests[name] for name in _TESTS}
        self.globals = {}
        self.functions = {"range": _range, "abort": _abort}

    def getattr(self, obj: object, attribute: str) -> object:
        return (
            self.getitem(obj, attribute) if isinstance(obj, Mapping) else self._checked(super().getattr(obj, attribute))
        )

    def getitem(self, obj: object, argument: object) -> object:
        if isinstance(obj, Mapping):
            value = obj.get(argument)
            return missing(str(argument)) if value is None else value
        return self._checked(super().getitem(obj, argument))

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        if isinstance(obj, str):
            return attr in _STRING_METHODS
        return super().is_safe_attribute(obj, attr, value)

    def is_safe_callable(self, obj: object) -> bool:
        if isinstance(obj, MissingValue):
            obj._fail_with_undefined_error()
        return super().is_safe_callable(obj)

    def wrap_str_format(self, value: object) -> None:
        """No `"…".format()`: it pads without bound. is_safe_attribute refuses it by name."""
        return

    def call_binop(self, context: Context | None, operator: str, left: object, right: object) -> object:
        if operator == "**":
            raise SecurityError("`**` is not available in templates")
        if operator == "*":
            _check_repetition(left, right)
        elif operator == "%" and isinstance(left, str):
            raise SecurityError("`%` formats no text here; use the filter `format`")
        result = self.binop_table[operator](left, right)
        if isinstance(result, int) and result.bit_length() > 64:
            raise SecurityError("a number has more than 64 bits")
        if isinstance(result, str | list | tuple) and len(result) > MAX_TEXT:
            raise SecurityError(f"a value is longer than {MAX_TEXT:,}")
        return result

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """The text of a render function's pieces; Jinja calls it for macros and `{% set %}` blocks too."""
        return joined(iter(pieces))

    @staticmethod
    def _checked(value: object) -> object:
        if value is None:
            return missing("null")
        if isinstance(value, Undefined) and value._undefined_exception is UndefinedError:
            return missing(str(value._undefined_name))
        return value


class Steps:
    """What one render may still do: loop iterations, macro calls, items and text that filters go through."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise SecurityError(f"the template does more than {MAX_STEPS:,} steps")


AS_JSON = " as_json"
JOINED = " joined"
BOUNDED = " bounded"
COUNTED = " counted"
"""Filters that the compiler puts in. A name that begins with a space cannot be written in a template."""


def joined(pieces: Iterator[str]) -> str:
    """The pieces as one text, refusing what grows without bound."""
    parts = list(islice(pieces, MAX_PIECES + 1))
    if len(parts) > MAX_PIECES or sum(map(len, parts)) > MAX_TEXT:
        raise SecurityError(f"the output is longer than {MAX_TEXT:,} characters or {MAX_PIECES:,} pieces")
    return "".join(parts)


def finalize(value: object) -> object:
    """What `{{ … }}` prints. A list or mapping is a mistake in a text, and null is missing."""
    if type(value) is str or type(value) is int:
        return value
    if value is None:
        raise MissingVariable("a value")
    if isinstance(value, list | tuple):
        raise TemplateRuntimeError("a list is no text; choose with `join(', ')` or `first`")
    if isinstance(value, Mapping):
        raise TemplateRuntimeError("a mapping is no text; name one of its keys")
    return value


def _as_json(value: object) -> str:
    """A value as JSON text: what keeps the type of a leaf that is one expression."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if type(value) is float and not math.isfinite(value):
        raise TemplateRuntimeError("the number is not finite")
    if callable(value):
        raise TemplateRuntimeError("a function is no value; call it with ()")
    return _ENCODE(value).decode()


def _joined(values: list[object]) -> str:
    """`a ~ b`, bounded."""
    return joined(str(finalize(value)) for value in values)


def _default(value: object, otherwise: object = "", also_empty: bool = False) -> object:
    """`otherwise` in place of what is missing or null, and with `true` also of what is empty."""
    if isinstance(value, Undefined) or value is None or (also_empty and not value):
        return otherwise
    return value


def _bounded(value: object) -> object:
    """A list or mapping that a template makes. Without a bound `[x, x]`, forty times over, would be the end."""
    waiting, count = [value], 0
    while waiting:
        item = waiting.pop()
        count += 1
        if count > MAX_PIECES:
            raise SecurityError(f"a list or mapping has more than {MAX_PIECES:,} parts")
        if isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
    return value


def _counted(value: object, steps: Steps) -> object:
    """What a loop or a filter is about to go through: as many steps as it has items, or text by its length."""
    if isinstance(value, Undefined):
        return value
    if isinstance(value, str):
        steps.take(1 + len(value) // _CHARACTERS_A_STEP)
    elif isinstance(value, list | tuple | range | Mapping):
        steps.take(1 + len(value))
    elif isinstance(value, Iterable):
        value = list(islice(value, steps.left + 1))
        steps.take(1 + len(value))
    else:
        steps.take(1)
    return value


def _round(value: float, digits: int = 0, method: str = "common") -> float:
    """To so many digits behind the point, at most 15; `ceil` and `floor` as in Jinja."""
    if method not in ("common", "ceil", "floor") or not 0 <= digits <= 15:
        raise TemplateRuntimeError("`round` takes 0 to 15 digits and common, ceil or floor")
    if method == "common":
        return round(value, digits)
    shift = float(10**digits)
    return (math.ceil(value * shift) if method == "ceil" else math.floor(value * shift)) / shift


def _omit(value: object) -> object:
    """Missing, null, an empty text, list or mapping become an empty text; the leaf is then left out by its payload."""
    if isinstance(value, Undefined) or value is None or (isinstance(value, str | list | Mapping) and not value):
        return ""
    return value


def _format(text: object, *values: object) -> str:
    """printf-style, with widths up to 99: `"%.2f" | format(price)`."""
    if _WIDE_FORMAT.search(str(text)):
        raise SecurityError("a width in `format` has at most two digits")
    for value in values:
        finalize(value)
    return str(text) % values


def _replace(text: object, old: str, new: str) -> str:
    """Every `old` becomes `new`."""
    source = str(text)
    if not old or source.count(old) * len(new) > MAX_TEXT:
        raise SecurityError(f"`replace` needs something to look for and a result up to {MAX_TEXT:,} characters")
    return source.replace(old, str(new))


def _check_repetition(left: object, right: object) -> None:
    for text, count in ((left, right), (right, left)):
        if isinstance(text, str | list | tuple) and isinstance(count, int) and count * len(text) > MAX_REPEAT:
            raise SecurityError(f"a repetition gives more than {MAX_REPEAT:,} characters")


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"a range has more than {MAX_RANGE:,} numbers")
    return numbers


def _abort(reason: object) -> NoReturn:
    raise Abort(str(reason))


ENVIRONMENT = PayloadEnvironment()
"""The one environment: it keeps nothing of the templates that it compiles."""
