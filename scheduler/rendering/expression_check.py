"""The types of a template's expressions, found in one walk, and what is wrong with them on the way.

What may be missing is reported where it is read, once something needs it: `default`, `is defined` and another dot do
not. Nothing is said about what is not certain: see `Type`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from jinja2 import nodes

from scheduler.conditions.jinja_positions import children_of
from scheduler.diagnostics.diagnostic import Diagnostic, did_you_mean, error
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering import other_languages
from scheduler.rendering.absences import Absent, Why, absence
from scheduler.rendering.expression_types import (
    ANYTHING,
    BOOLEAN,
    NUMERIC,
    TEXT,
    Kind,
    Type,
    named,
    of,
    of_json,
    union,
)
from scheduler.rendering.filter_results import any_of, defaulted, filtered, how_many
from scheduler.rendering.narrowing import Flow, facts_of, joined
from scheduler.rendering.operators import Problem, arithmetic, comparison
from scheduler.rendering.paths import Path, dotted, extent, path_of
from scheduler.rendering.signatures import (
    ANY_NUMBER,
    CATCHING,
    FILTERS,
    FUNCTIONS,
    METHODS,
    NUMBER_TESTS,
    PATIENT_TESTS,
    TEST_ARGUMENTS,
    Signature,
)

_NOT_PRINTED = {
    Kind.LIST: ("a list is no text", "choose with `join(', ')` or `first`"),
    Kind.OBJECT: ("a mapping is no text", "name one of its keys"),
    Kind.ITERATOR: ("what this gives is no text", "choose with `join(', ')` or `first`"),
    Kind.FUNCTION: ("a function is no text", "call it with ()"),
}
_ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod)


class Roots(Protocol):
    """The names that a template is given."""

    @property
    def missing_is_expected(self) -> bool:
        """Whether whoever asks for the text has an answer to a missing value."""
        ...

    def type_of(self, path: Path, text: ScalarNode, part: nodes.Node, flow: Flow) -> Type | Diagnostic:
        """The type of a path that does not begin with one of the template's own names, or why it has none. It is read
        at `part` of `text`."""
        ...


class ExpressionCheck:
    """Walks the expressions of one text; `findings` grows meanwhile."""

    def __init__(self, text: ScalarNode, roots: Roots, findings: list[Diagnostic]) -> None:
        self.text = text
        self.roots = roots
        self.findings = findings

    def type_of(self, node: nodes.Node, flow: Flow) -> Type:
        """The type of an expression. It is evaluated, so afterwards the flow knows what that told."""
        path = path_of(node)
        if path is not None:
            return self._path(path, node, flow)
        match node:
            case nodes.Const(value=value):
                return of_json(value)
            case nodes.Filter():
                operand = ANYTHING if node.node is None else self.type_of(node.node, flow)
                return self.filtered(node, operand, flow)
            case nodes.Test():
                return self._test(node, flow)
            case nodes.Call():
                return self._call(node, flow)
            case nodes.Getattr() | nodes.Getitem():
                return self._below(node, flow)
            case nodes.And() | nodes.Or():
                return self._connected(node, flow)
            case nodes.Not():
                self.needed(node.node, flow, softly=True)
                return BOOLEAN
            case nodes.CondExpr():
                return self._conditional(node, flow)
            case nodes.Compare():
                return self._comparison(node, flow)
            case nodes.Concat():
                for one in node.nodes:
                    self.printed(one, flow)
                return TEXT
            case nodes.Neg() | nodes.Pos():
                operand = self.needed(node.node, flow)
                return self._checked(arithmetic("-", operand, operand), node)
            case nodes.BinExpr() if isinstance(node, _ARITHMETIC):
                left, right = self.needed(node.left, flow), self.needed(node.right, flow)
                return self._checked(arithmetic(str(node.operator), left, right, _constant(node.right)), node)
            case nodes.List(items=items) | nodes.Tuple(items=items):
                found = [self.type_of(item, flow) for item in items]
                return of(Kind.LIST, item=union(*found) if found else None)
            case nodes.Dict(items=pairs):
                return self._mapping(pairs, flow)
            case _:
                for child in children_of(node):
                    self.type_of(child, flow)
                return ANYTHING

    def needed(self, node: nodes.Node, flow: Flow, *, softly: bool = False) -> Type:
        """The type of an expression whose value is used: it must be there. `softly`: an inline `if` without `else`
        counts as an empty text."""
        found = self.type_of(node, flow)
        self.demand(found, flow, softly=softly)
        return (found.filled() if softly else found).present()

    def demand(self, found: Type, flow: Flow, *, softly: bool = False) -> None:
        """Report a value that is needed and may be missing."""
        absent = found.absent
        if absent is None or flow.ended or (softly and absent.why is Why.NO_ELSE):
            return
        if absent.why is Why.UNSET or not self.roots.missing_is_expected:
            self.findings.append(absence(absent))

    def printed(self, node: nodes.Node, flow: Flow) -> None:
        """Check an expression that becomes text."""
        found = self.needed(node, flow, softly=True)
        for kind in found.outside(Kind.TEXT, *NUMERIC, Kind.INSTANT):
            message, hint = _NOT_PRINTED[kind]
            self.report("wrong-type", message, node, hint)

    def decided(self, test: nodes.Node, flow: Flow) -> tuple[Flow, Flow]:
        """The two ways behind a test: when it is true, and when it is false."""
        self.needed(test, flow, softly=True)
        return self._when(test, flow, holds=True), self._when(test, flow, holds=False)

    def filtered(self, node: nodes.Filter, operand: Type, flow: Flow) -> Type:
        """What a filter makes of an operand."""
        signature = FILTERS.get(node.name)
        if node.name not in CATCHING:
            self.demand(operand, flow, softly=signature is None or not signature.takes or Kind.TEXT in signature.takes)
        arguments = [self.type_of(argument, flow) for argument in node.args]
        keywords = {str(keyword.key): self.type_of(keyword.value, flow) for keyword in node.kwargs}
        for more in (node.dyn_args, node.dyn_kwargs):
            if more is not None:
                self.needed(more, flow)
        if node.name in ("default", "d"):
            return defaulted(operand, arguments, keywords)
        for argument in (*arguments, *keywords.values()):
            self.demand(argument, flow)
        if signature is None:
            return ANYTHING
        self._check_arguments(f"`{node.name}`", node, signature)
        wrong = operand.outside(*signature.takes) if signature.takes else []
        if wrong:
            message = f"`{node.name}` takes {any_of(signature.takes)}, not {named(wrong[0])}"
            self.report("wrong-type", message, node, signature.hint if wrong == [Kind.TEXT] else None)
        return filtered(node.name, operand, signature)

    def called(self, node: nodes.Call, flow: Flow) -> Type | None:
        """The type of what one of the template's macros gives; None when it is none that is called."""
        raise NotImplementedError

    def report(self, code: str, message: str, node: nodes.Node, hint: str | None = None) -> None:
        """An error about a part of the text."""
        self.findings.append(error(code, message, self.text.span_of(*extent(self.text.text, node)), hint))

    def _path(self, path: Path, node: nodes.Node, flow: Flow) -> Type:
        found = self._found(path, node, flow)
        if isinstance(found, Diagnostic):
            self.findings.append(found)
            return ANYTHING
        if found.absent is not None and found.absent.why is Why.UNSET:  # known by now: where it is read
            return replace(found, absent=replace(found.absent, text=self.text, part=node))
        return found

    def _found(self, path: Path, node: nodes.Node, flow: Flow) -> Type | Diagnostic:
        learned = flow.learned.get(path)
        if learned is not None:
            return learned
        if path[0] not in flow.own:
            return self.roots.type_of(path, self.text, node, flow)
        outer = flow.learned.get(path[:1]) or flow.own[str(path[0])]
        for length in range(2, len(path) + 1):
            inner = flow.learned.get(path[:length])
            outer = inner or self._member(outer, path[:length], node)
        return outer

    def _known(self, path: Path, flow: Flow) -> Type:
        """The type of a path without findings."""
        found = self._found(path, nodes.Const(None), flow)
        return found if isinstance(found, Type) else ANYTHING

    def _when(self, test: nodes.Node, flow: Flow, *, holds: bool) -> Flow:
        """What is known once a test came out true, or false."""
        way = flow.copy()
        way.know(facts_of(test, holds=holds), self._known)
        return way

    def _member(self, outer: Type, path: Path, node: nodes.Node) -> Type:
        """What is below a value. A missing one passes through."""
        key = path[-1]
        for name, inner in outer.fields:
            if name == key:
                return inner
        if outer.fields and outer.only(Kind.OBJECT):
            return Type(absent=Absent(dotted(path), Why.UNDECLARED, self.text, node))
        if isinstance(key, int) and outer.only(Kind.LIST, Kind.TEXT):
            return replace(outer.item or (TEXT if outer.only(Kind.TEXT) else ANYTHING), absent=outer.absent)
        return Type(absent=outer.absent)

    def _below(self, node: nodes.Getattr | nodes.Getitem, flow: Flow) -> Type:
        outer = self.type_of(node.node, flow)
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            for bound in children_of(node.arg):
                self.needed(bound, flow)
            if outer.only(Kind.TEXT, Kind.LIST):
                return outer
        elif isinstance(node, nodes.Getitem):
            self.needed(node.arg, flow)
        if isinstance(node, nodes.Getattr) and outer.only(Kind.TEXT, Kind.LIST, Kind.ITERATOR, *NUMERIC):
            self.report("unknown-name", f"{named(outer)} has no '{node.attr}'", node)
        elif outer.only(*NUMERIC):
            self.report("wrong-type", f"{named(outer)} has no parts", node)
        return Type(absent=outer.absent)

    def _mapping(self, pairs: list[nodes.Pair], flow: Flow) -> Type:
        for pair in pairs:
            self.needed(pair.key, flow)
        fields = [(pair.key, self.type_of(pair.value, flow)) for pair in pairs]
        known = tuple((str(key.value), one) for key, one in fields if isinstance(key, nodes.Const))
        return replace(of(Kind.OBJECT), fields=known if len(known) == len(fields) else ())

    def _test(self, node: nodes.Test, flow: Flow) -> Type:
        found = self.type_of(node.node, flow)
        if node.name not in PATIENT_TESTS:
            self.demand(found, flow)
        for argument in node.args:
            self.needed(argument, flow)
        wanted = TEST_ARGUMENTS.get(node.name, 0)
        if node.dyn_args is None and not node.kwargs and len(node.args) != wanted:
            self.report("wrong-arguments", f"the test '{node.name}' takes {how_many(wanted, wanted)}, and this gives "
                        f"{len(node.args)}", node)  # fmt: skip
        elif node.name in NUMBER_TESTS and (wrong := found.outside(*NUMERIC)):
            self.report("wrong-type", f"'{node.name}' asks about a number, not {named(wrong[0])}", node)
        return BOOLEAN

    def _call(self, node: nodes.Call, flow: Flow) -> Type:
        given = self.called(node, flow)
        if given is not None:
            return given
        callee = node.node
        operand = ANYTHING
        if isinstance(callee, nodes.Getattr):
            operand = self.needed(callee.node, flow)
        elif not isinstance(callee, nodes.Name):
            self.needed(callee, flow)
        for argument in arguments_of(node):
            self.needed(argument, flow)
        match callee:
            case nodes.Name(name=name) if name in flow.own:
                found = flow.own[name]
                if found.is_known and Kind.FUNCTION not in found.kinds:
                    self.report("wrong-type", f"'{name}' is {named(found)} and cannot be called", node)
                return ANYTHING
            case nodes.Name(name=name) if name in FUNCTIONS:
                self._check_arguments(f"`{name}`", node, FUNCTIONS[name])
                flow.ended = flow.ended or name == "abort"
                return FUNCTIONS[name].gives
            case nodes.Getattr(attr=name):
                return self._method(name, operand, node)
        return ANYTHING  # an unknown function has its finding from the grammar

    def _method(self, name: str, operand: Type, node: nodes.Call) -> Type:
        for kind in sorted(operand.kinds):
            if name not in METHODS.get(kind, {}):
                code = "unknown-name" if kind in METHODS else "wrong-type"
                self.report(code, f"{named(kind)} has no '{name}()'", node, _method_hint(name, kind))
                return ANYTHING
        if len(operand.kinds) != 1:
            return ANYTHING
        (only,) = operand.kinds
        self._check_arguments(f"`{name}`", node, METHODS[only][name])
        return METHODS[only][name].gives

    def _check_arguments(self, what: str, node: nodes.Filter | nodes.Call, takes: Signature) -> None:
        if node.dyn_args is not None or node.dyn_kwargs is not None or takes.most == ANY_NUMBER:
            return
        count = len(node.args) + len(node.kwargs)
        unknown = [str(keyword.key) for keyword in node.kwargs if keyword.key not in takes.keywords]
        if unknown:
            hint = did_you_mean(unknown[0], takes.keywords)
            self.report("wrong-arguments", f"{what} has no '{unknown[0]}'", node, hint)
        elif not takes.least <= count <= takes.most:
            wanted = how_many(takes.least, takes.most)
            self.report("wrong-arguments", f"{what} takes {wanted}, and this gives {count}", node,
                        other_languages.EXAMPLES.get(what.strip("`")))  # fmt: skip

    def _connected(self, node: nodes.And | nodes.Or, flow: Flow) -> Type:
        left = self.needed(node.left, flow, softly=True)
        goes_on = isinstance(node, nodes.And)
        on, off = self._when(node.left, flow, holds=goes_on), self._when(node.left, flow, holds=not goes_on)
        right = self.type_of(node.right, on)
        flow.take(joined(on, off, self.unset))
        return union(left, right)

    def _conditional(self, node: nodes.CondExpr, flow: Flow) -> Type:
        true, false = self.decided(node.test, flow)
        first = self.type_of(node.expr1, true)
        if node.expr2 is None:
            second = replace(first, absent=Absent("", Why.NO_ELSE, self.text, node))
        else:
            second = self.type_of(node.expr2, false)
        flow.take(joined(true, false, self.unset))
        if true.ended or false.ended:
            return second if true.ended else first
        return union(first, second)

    def _comparison(self, node: nodes.Compare, flow: Flow) -> Type:
        left, left_node = self.needed(node.expr, flow), node.expr
        for operand in node.ops:
            right = self.needed(operand.expr, flow)
            problem = comparison(operand.op, left, right)
            if problem is not None:
                place = node if problem.about is None else (left_node if problem.about == "left" else operand.expr)
                self.report(problem.code, problem.message, place, problem.hint)
            left, left_node = right, operand.expr
        return BOOLEAN

    def _checked(self, found: Type | Problem, node: nodes.Node) -> Type:
        if isinstance(found, Problem):
            self.report(found.code, found.message, node, found.hint)
            return ANYTHING
        return found

    def unset(self, name: str) -> Type:
        """The type of a name on a way that does not set it."""
        return Type(absent=Absent(name, Why.UNSET, self.text, nodes.Const(None)))


def arguments_of(node: nodes.Call) -> Iterator[nodes.Node]:
    """The expressions that a call gives."""
    yield from node.args
    yield from (keyword.value for keyword in node.kwargs)
    yield from (one for one in (node.dyn_args, node.dyn_kwargs) if one is not None)


def _method_hint(name: str, kind: Kind) -> str | None:
    if kind in METHODS:
        hint = other_languages.METHODS.get(name) or did_you_mean(name, METHODS[kind])
        return hint or (f"use the filter: `… | {name}`" if name in FILTERS else None)
    is_of_text = kind in NUMERIC and name in METHODS[Kind.TEXT]
    return f"`| string` makes text of it: `(… | string).{name}()`" if is_of_text else None


def _constant(node: nodes.Node) -> object:
    return node.value if isinstance(node, nodes.Const) else None
