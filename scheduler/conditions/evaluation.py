"""What a condition means: three-valued evaluation in Python. SQL is an optimisation that must agree with this.

An expression is compiled once to closures over a scope: a mapping from root names to nested dictionaries. None is
missing, and unknown. The laws:

- Missing passes through dots. JSON null is the same as missing.
- A comparison with missing, or of different types, is unknown. True is not 1: booleans are a type of their own.
- `in` a list is the `or` of comparisons with its items; in a string it asks for a part. Missing in anything, and
  anything in missing, is unknown.
- `and`, `or` and `not` are Kleene's: false and unknown is false, true or unknown is true, not unknown is unknown.
  What is neither true nor false counts as unknown.
- `is defined` is never unknown.
- Strings are compared by code point, instants as instants. Lists and objects are equal to nothing.
- Integers have 64 bits; a sum or product beyond them, or one that is no finite number, is unknown.
- Functions and filters are unknown when an operand is, or is of a type that they do not take (functions.py).
- A date in quotes beside an instant, and the date of an instant, are those of the person's zone: the scope's `zone`,
  a tzinfo that no expression can name. Without it they are unknown.
- `changed("x")` is unknown without a previous event; a value that came or went counts as changed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import Any, TypeAlias, assert_never

from scheduler.conditions.expressions import (
    And,
    Call,
    Changed,
    Compare,
    Comparison,
    Constant,
    Default,
    Expression,
    In,
    IsDefined,
    ListOf,
    LocalDate,
    Name,
    Not,
    Or,
    Sum,
    WallTime,
)
from scheduler.conditions.functions import (
    MEANING,
    Apply,
    bounded,
    is_number,
    read_date,
    read_instant,
    same_json,
)
from scheduler.domain.wall_times import instant_of, local_date

Scope: TypeAlias = Mapping[str, object]
Evaluate: TypeAlias = Callable[[Scope], object]

_OPERATORS: Mapping[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.UNEQUAL: operator.ne,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}
_EQUALITY = (Comparison.EQUAL, Comparison.UNEQUAL)
# Types whose values can be compared with each other; anything else, lists and objects too, with nothing.
_KIND: Mapping[type, str] = {str: "string", int: "number", float: "number", bool: "boolean", datetime: "instant"}
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def compiled(expression: Expression) -> Evaluate:
    """The expression as one function from a scope to its value; None is unknown."""
    match expression:
        case Constant(value):
            return lambda scope: value
        case Name(root, keys):
            return _name(root, keys)
        case ListOf(items):
            parts = [compiled(item) for item in items]
            return lambda scope: [part(scope) for part in parts]
        case Compare(comparison, Constant(value), right):
            return _comparison_with_constant(comparison.mirrored, compiled(right), value)
        case Compare(comparison, left, Constant(value)):
            return _comparison_with_constant(comparison, compiled(left), value)
        case Compare(comparison, left, right):
            return _comparison(comparison, compiled(left), compiled(right))
        case In(item, Constant(list() as value)):
            return _in_constant_list(compiled(item), value)
        case In(item, container):
            return _in(compiled(item), compiled(container))
        case Not(operand):
            return _not(compiled(operand))
        case And(operands):
            return _and(tuple(compiled(operand) for operand in operands))
        case Or(operands):
            return _or(tuple(compiled(operand) for operand in operands))
        case Sum(left, right, minus):
            return _sum(compiled(left), compiled(right), operator.sub if minus else operator.add)
        case IsDefined(operand):
            asked = compiled(operand)
            return lambda scope: asked(scope) is not None
        case Default(operand, fallback, empty_too):
            return _default(compiled(operand), compiled(fallback), empty_too=empty_too)
        case Call(function, arguments):
            return _call(MEANING[function], tuple(compiled(argument) for argument in arguments))
        case WallTime(moment):
            return _wall_time(moment)
        case LocalDate(operand, zone):
            return _local_date(compiled(operand), zone)
        case Changed(after, before, previous):
            return _changed(compiled(after), compiled(before), compiled(previous))
        case _:
            assert_never(expression)


def compare(comparison: Comparison, left: object, right: object) -> bool | None:
    """One comparison of two values; unknown where they are missing or of different types."""
    kind = _KIND.get(type(left))
    if kind is None or kind != _KIND.get(type(right)) or (kind == "boolean" and comparison not in _EQUALITY):
        return None
    return _OPERATORS[comparison](left, right)


def _name(root: str, keys: tuple[str, ...]) -> Evaluate:
    # Short names are by far the most frequent ones: no loop for them. Anything that is not a dictionary (None too)
    # refuses a string as its key, and so the name is missing.
    match keys:
        case ():
            return lambda scope: scope.get(root) or None
        case (only,):

            def one_key(scope: Scope) -> object:
                try:
                    return scope[root][only]  # type: ignore[index]
                except (KeyError, TypeError):
                    return None

            return one_key
        case (first, second):

            def two_keys(scope: Scope) -> object:
                try:
                    return scope[root][first][second]  # type: ignore[index]
                except (KeyError, TypeError):
                    return None

            return two_keys

    def many_keys(scope: Scope) -> object:
        try:
            value = scope[root]
            for key in keys:
                value = value[key]  # type: ignore[index]
        except (KeyError, TypeError):
            return None
        return value

    return many_keys


def _comparison(comparison: Comparison, left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: compare(comparison, left(scope), right(scope))


def _comparison_with_constant(comparison: Comparison, left: Evaluate, value: object) -> Evaluate:
    apply = _OPERATORS[comparison]
    if type(value) is str:

        def with_string(scope: Scope) -> object:
            found = left(scope)
            return apply(found, value) if type(found) is str else None

        return with_string
    if type(value) is int or type(value) is float:

        def with_number(scope: Scope) -> object:
            found = left(scope)
            return apply(found, value) if type(found) is int or type(found) is float else None

        return with_number
    return lambda scope: compare(comparison, left(scope), value)


def _in_constant_list(item: Evaluate, values: list[object]) -> Evaluate:
    if values and all(type(value) is str for value in values):
        strings = frozenset(values)

        def in_strings(scope: Scope) -> object:
            found = item(scope)
            return found in strings if type(found) is str else None

        return in_strings
    return lambda scope: _is_in_list(item(scope), values)


def _in(item: Evaluate, container: Evaluate) -> Evaluate:
    def is_in(scope: Scope) -> object:
        found, holder = item(scope), container(scope)
        if isinstance(holder, list | tuple):
            return _is_in_list(found, holder)
        return found in holder if type(found) is str and type(holder) is str else None

    return is_in


def _is_in_list(found: object, values: list[object] | tuple[object, ...]) -> bool | None:
    if found is None:
        return None
    # A string equals strings alone, so Python's own search is right for it, and fast.
    if type(found) is str and found in values:
        return True
    unknown = False
    for value in values:
        equal = compare(Comparison.EQUAL, found, value)
        if equal:
            return True
        unknown = unknown or equal is None
    return None if unknown else False


def _not(operand: Evaluate) -> Evaluate:
    def negated(scope: Scope) -> object:
        value = operand(scope)
        return False if value is True else True if value is False else None

    return negated


def _and(operands: tuple[Evaluate, ...]) -> Evaluate:
    def all_of(scope: Scope) -> object:
        result: bool | None = True
        for operand in operands:
            value = operand(scope)
            if value is False:
                return False
            if value is not True:
                result = None
        return result

    return all_of


def _or(operands: tuple[Evaluate, ...]) -> Evaluate:
    def any_of(scope: Scope) -> object:
        result: bool | None = False
        for operand in operands:
            value = operand(scope)
            if value is True:
                return True
            if value is not False:
                result = None
        return result

    return any_of


def _sum(left: Evaluate, right: Evaluate, apply: Callable[[object, object], int | float]) -> Evaluate:
    def total(scope: Scope) -> object:
        one, other = left(scope), right(scope)
        return bounded(apply(one, other)) if is_number(one) and is_number(other) else None

    return total


def _default(operand: Evaluate, fallback: Evaluate, *, empty_too: bool) -> Evaluate:
    def value_or_fallback(scope: Scope) -> object:
        value = operand(scope)
        return fallback(scope) if value is None or (empty_too and value == "") else value

    return value_or_fallback


def _call(apply: Apply, arguments: tuple[Evaluate, ...]) -> Evaluate:
    if len(arguments) == 1:
        (only,) = arguments

        def of_one(scope: Scope) -> object:
            value = only(scope)
            return None if value is None else apply(value)

        return of_one

    def of_many(scope: Scope) -> object:
        values = [argument(scope) for argument in arguments]
        return None if None in values else apply(*values)

    return of_many


def _wall_time(moment: date | datetime) -> Evaluate:
    def in_zone(scope: Scope) -> object:
        zone = scope.get("zone")
        if not isinstance(zone, tzinfo):
            return None
        try:
            return instant_of(moment, zone)
        except OverflowError:  # a moment such as "9999-12-31 23:59", for "never", is still behind all others
            return _FIRST if moment.year == 1 else _LAST

    return in_zone


def _local_date(operand: Evaluate, known_zone: tzinfo | None) -> Evaluate:
    def date_in_zone(scope: Scope) -> object:
        value, zone = operand(scope), known_zone or scope.get("zone")
        if read_date(value) is not None:
            return value
        instant = read_instant(value)
        if instant is None or not isinstance(zone, tzinfo):
            return None
        try:
            return local_date(instant, zone).isoformat()
        except OverflowError:
            return None

    return date_in_zone


def _changed(after: Evaluate, before: Evaluate, previous: Evaluate) -> Evaluate:
    def differs(scope: Scope) -> object:
        return None if previous(scope) is None else not same_json(after(scope), before(scope))

    return differs
