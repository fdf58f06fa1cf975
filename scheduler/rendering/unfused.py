"""What `check` has in place of fused functions: leaves worked out from their syntax trees, without making code.

To make code of a template is dear, and pays where it runs for many devices; `check` runs it for a few samples. Most
leaves are *plain*: text, paths, constants, operators, comparisons, `if`, filters and tests that look at nothing but
what they are given. Such a leaf certainly becomes code, and can be worked out by putting functions together.

The law, held by a property test: a text that is worked out here is the text that the fused function gives. Where
anything goes wrong, or a bound is near, the fused function is made after all and says how; a payload with a leaf that
is not plain is fused at once.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Any, TypeAlias

from jinja2 import nodes

from scheduler.domain.json_values import Json
from scheduler.rendering.builder import CHEAP_FILTERS, STEPS
from scheduler.rendering.fusing import Fused, Texts, fuse
from scheduler.rendering.leaf_texts import LeafText, parsed
from scheduler.rendering.macros import NO_MACROS, MacroFiles
from scheduler.rendering.paths import Path, dotted, path_of
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.sandbox import (
    AS_JSON,
    COUNTED,
    ENVIRONMENT,
    JOINED,
    MAX_PIECES,
    MAX_TEXT,
    Steps,
    finalize,
    missing,
)

Values: TypeAlias = Mapping[str, object]
Work: TypeAlias = Callable[[Values], object]
"""What an expression is worth for the values of the variables. May raise whatever the expression does."""
Print: TypeAlias = Callable[[Values], str]

_SHALLOW = 20
"""Levels of nesting that neither Jinja's compiler nor Python's has trouble with."""
_FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "float", "format", "int", "length", "lower", "omit", "replace",
    "round", "string", "title", "trim", "upper",
})  # fmt: skip
"""Filters that are functions of what they are given alone, and give a value, not an iterator."""
_TESTS: Mapping[str, Any] = ENVIRONMENT.tests
"""All tests that templates have are so."""
_COMPARISONS: Mapping[str, Callable[[Any, Any], object]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "lteq": operator.le, "gt": operator.gt,
    "gteq": operator.ge, "in": lambda one, many: one in many, "notin": lambda one, many: one not in many,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unfused:
    """One variant, as `Fused` is one: over the values of `paths`; `names[i]` is the variable of `paths[i]`."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    absent: tuple[object, ...]
    _computed: Mapping[str, Work]
    _leaves: tuple[Print, ...]
    _code: _Code
    _number: int

    @property
    def macro_texts(self) -> Mapping[str, str]:
        """What uses macros is fused."""
        return {}

    def render(self, values: Values) -> list[str] | RenderFailure | Aborted:
        """The texts of the leaves. `values` has a value or `absent` for every name."""
        texts = self.worked_out(values)
        if texts is not None:
            return texts
        fused = self._code.fused[self._number]
        by_path = {path: values[name] for path, name in zip(self.paths, self.names, strict=True)}
        return fused.render({name: by_path[path] for path, name in zip(fused.paths, fused.names, strict=True)})

    def worked_out(self, values: Values) -> list[str] | None:
        """The texts of the leaves without code; None when only the code can say."""
        known = {**values, STEPS: Steps()}
        try:
            for name, work in self._computed.items():
                known[name] = work(known)
            texts = [leaf(known) for leaf in self._leaves]
        except Exception:  # whatever it is: the code raises it too, and knows where
            return None
        whole = "".join(texts)
        return None if "\0" in whole or len(whole) + len(texts) > MAX_TEXT else texts


class _Code:
    """The fused functions of a payload, made when somebody asks for them."""

    def __init__(self, variants: Sequence[Texts]) -> None:
        self._variants = variants

    @cached_property
    def fused(self) -> tuple[Fused, ...]:
        return fuse(self._variants)


def unfused(variants: Sequence[Texts], macros: MacroFiles = NO_MACROS) -> tuple[Fused | Unfused, ...]:
    """What `fuse` gives, of plain texts without code. Uncompilable as there."""
    try:
        return _Variants(variants).put_together()
    except _NotPlainError:
        return fuse(variants, macros)


Fuse: TypeAlias = Callable[[Sequence[Texts], MacroFiles], Sequence[Fused | Unfused]]
"""How texts become functions: `fuse` for what runs, `unfused` for what is looked at."""


class _NotPlainError(Exception):
    """A text has something that may not become code, or that is not worked out here."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """A text that is plain, as functions; `paths` are those that it reads."""

    paths: frozenset[Path]
    prints: Print
    value: Work
    """Of one expression its own value, else the text."""


class _Variants:
    def __init__(self, variants: Sequence[Texts]) -> None:
        self.variants = variants
        self.names: dict[Path, str] = {}
        self.known: dict[object, _Plain] = {}
        self.pieces = 0

    def put_together(self) -> tuple[Unfused, ...]:
        code = _Code(self.variants)
        return tuple(self._variant(number, texts, code) for number, texts in enumerate(self.variants))

    def _variant(self, number: int, texts: Texts, code: _Code) -> Unfused:
        leaves = [self._plain(leaf, texts) for leaf in texts.leaves]
        asked = {name for leaf in texts.leaves for name in _names(leaf)}
        computed = {
            _variable(name): self._plain(value, Texts(())) for name, value in texts.computed.items() if name in asked
        }
        read = frozenset().union(*(plain.paths for plain in (*leaves, *computed.values())))
        paths = tuple(path for path in self.names if path in read)
        return Unfused(
            paths=paths,
            names=tuple(self.names[path] for path in paths),
            absent=tuple(missing(dotted(path)) for path in paths),
            _computed={name: plain.value for name, plain in computed.items()},
            _leaves=tuple(plain.prints for plain in leaves),
            _code=code,
            _number=number,
        )

    def _plain(self, leaf: LeafText, texts: Texts) -> _Plain:
        """A text as functions. Variants that give it the same constants share them."""
        asked = _names(leaf)
        constants = {name: value for name, value in texts.constants.items() if name in asked}
        computed = frozenset(name for name in texts.computed if name in asked)
        key = leaf, tuple((name, id(value)) for name, value in constants.items()), computed
        known = self.known.get(key)
        if known is not None:
            return known
        text = parsed(leaf.text)
        self.pieces += 1 + len(text.parts)
        if text.own or text.levels > _SHALLOW or self.pieces > MAX_PIECES:
            raise _NotPlainError
        reader = _Reader(self.names, constants, computed)
        expression = text.expression
        if expression is None:
            prints = reader.body(text.tree.body)
            value: Work = _bounded(prints)
        else:
            value = reader.expression(expression)
            prints = _as_json(value) if leaf.as_json else _printed(value)
        plain = self.known[key] = _Plain(frozenset(reader.paths), prints, value)
        return plain


class _Constant:
    """What is worth the same whatever the variables are."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __call__(self, values: Values) -> object:
        return self.value


class _Reader:
    """Reads the tree of a text into functions, and collects the paths on the way. Raises _NotPlainError."""

    def __init__(self, names: dict[Path, str], constants: Mapping[str, Json], computed: frozenset[str]) -> None:
        self.names = names
        self.constants = constants
        self.computed = computed
        self.paths: set[Path] = set()

    def body(self, statements: Sequence[nodes.Node]) -> Print:
        """What prints statements."""
        pieces: list[Print] = []
        for statement in statements:
            match statement:
                case nodes.Output(nodes=parts):
                    pieces.extend(self._piece(part) for part in parts)
                case nodes.If():
                    pieces.append(self._choice(statement))
                case _:
                    raise _NotPlainError
        return pieces[0] if len(pieces) == 1 else lambda values: "".join([piece(values) for piece in pieces])

    def _piece(self, part: nodes.Node) -> Print:
        if isinstance(part, nodes.TemplateData):
            data = part.data
            return lambda values: data
        return _printed(self.expression(part))

    def _choice(self, node: nodes.If) -> Print:
        ways = [(self._varying(one.test), self.body(one.body)) for one in (node, *node.elif_)]
        otherwise = self.body(node.else_)
        return lambda values: next((body for test, body in ways if test(values)), otherwise)(values)

    def expression(self, node: nodes.Node | None) -> Work:
        """What works out an expression."""
        match node:
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                return self._path(node)
            case nodes.Const(value=value):
                return _constant(value)
            case nodes.Filter(name=name, kwargs=[], dyn_args=None, dyn_kwargs=None) if name in _FILTERS:
                return self._filter(node)
            case nodes.Test(name=name, kwargs=[], dyn_args=None, dyn_kwargs=None):
                return self._call(_TESTS[name], [node.node, *node.args])
            case nodes.CondExpr(test=test, expr1=one, expr2=other):
                decides, first = self._varying(test), self.expression(one)
                second = _Constant("") if other is None else self.expression(other)
                return lambda values: first(values) if decides(values) else second(values)
            case nodes.And(left=left, right=right):
                first, second = self._varying(left), self.expression(right)
                return lambda values: first(values) and second(values)
            case nodes.Or(left=left, right=right):
                first, second = self._varying(left), self.expression(right)
                return lambda values: first(values) or second(values)
            case nodes.Not(node=inner):
                denied = self._varying(inner)
                return lambda values: not denied(values)
            case nodes.Compare():
                return self._compare(node)
            case nodes.Add() | nodes.Sub() | nodes.Mul() | nodes.Div() | nodes.FloorDiv() | nodes.Mod():
                return self._arithmetic(node)
            case nodes.Neg(node=inner):
                return self._call(lambda value: -value, [inner])
            case nodes.Concat(nodes=parts):
                items = self._some_varying(parts)
                join = ENVIRONMENT.filters[JOINED]
                return lambda values: join([item(values) for item in items])
            case nodes.List(items=items):
                return self._list(items)
        raise _NotPlainError

    def _list(self, items: Sequence[nodes.Expr]) -> Work:
        constants: list[object] = []
        for item in items:
            if not isinstance(item, nodes.Const):
                raise _NotPlainError
            constants.append(_constant(item.value).value)
        return _Constant(constants)

    def _path(self, node: nodes.Expr) -> Work:
        path = path_of(node)
        root = path and path[0]
        if path is None or (len(path) > 1 and (root in self.constants or root in self.computed)):
            raise _NotPlainError
        if root in self.constants:
            return _constant(self.constants[str(root)])
        if root in self.computed:
            return itemgetter(_variable(str(root)))
        self.paths.add(path)
        return itemgetter(self.names.setdefault(path, f"_path_{len(self.names)}"))

    def _filter(self, node: nodes.Filter) -> Work:
        function = ENVIRONMENT.filters[node.name]
        if node.name in CHEAP_FILTERS:
            return self._call(function, [node.node, *node.args])
        of, *arguments = self._some_varying([node.node, *node.args])
        counted = ENVIRONMENT.filters[COUNTED]
        return lambda values: function(counted(of(values), values[STEPS]), *[one(values) for one in arguments])

    def _call(self, function: Callable[..., object], arguments: Sequence[nodes.Node | None]) -> Work:
        works = self._some_varying(arguments)
        return lambda values: function(*[work(values) for work in works])

    def _compare(self, node: nodes.Compare) -> Work:
        first, *others = self._some_varying([node.expr, *(operand.expr for operand in node.ops)])
        steps = [(_COMPARISONS[operand.op], work) for operand, work in zip(node.ops, others, strict=True)]

        def compared(values: Values) -> object:
            left, result = first(values), object()
            for compare, work in steps:
                right = work(values)
                result = compare(left, right)
                if not result:
                    break
                left = right
            return result

        return compared

    def _arithmetic(self, node: nodes.BinExpr) -> Work:
        left, right = self._some_varying([node.left, node.right])
        sign = node.operator
        if sign in ENVIRONMENT.intercepted_binops:
            return lambda values: ENVIRONMENT.call_binop(None, sign, left(values), right(values))
        calculate = ENVIRONMENT.binop_table[sign]
        return lambda values: calculate(left(values), right(values))

    def _some_varying(self, parts: Sequence[nodes.Node | None]) -> list[Work]:
        """The operands of an operation. With constants alone Jinja works it out at once, and may fail."""
        works = [self.expression(part) for part in parts]
        if all(isinstance(work, _Constant) for work in works):
            raise _NotPlainError
        return works

    def _varying(self, part: nodes.Node) -> Work:
        return self._some_varying([part])[0]


def _constant(value: object) -> _Constant:
    """A constant that code can hold: no number without an end, no list that may be printed."""
    small = type(value) is int and value.bit_length() <= 64
    if value is None or type(value) in (str, bool) or small or (type(value) is float and math.isfinite(value)):
        return _Constant(value)
    raise _NotPlainError


def _printed(work: Work) -> Print:
    """What `{{ … }}` prints."""
    return lambda values: str(finalize(work(values)))


def _as_json(work: Work) -> Print:
    to_json = ENVIRONMENT.filters[AS_JSON]
    return lambda values: to_json(work(values))


def _bounded(prints: Print) -> Work:
    """A text as a value of its own, which has a bound of its own."""
    return lambda values: ENVIRONMENT.concat([prints(values)])


def _names(leaf: LeafText) -> frozenset[str]:
    """The plain names that a text reads."""
    return frozenset(part.name for part in parsed(leaf.text).parts if isinstance(part, nodes.Name))


def _variable(name: str) -> str:
    """The variable that holds a computed value of `with`."""
    return f"_with_{name}"
