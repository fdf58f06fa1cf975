"""The statements of a template: what they know on each way, and the macros that they call.

A macro is checked where it is called, with the types that it is given there: what is wrong then stands in its own
file. It is checked once more by itself, so that nothing is left out that nobody calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jinja2 import nodes

from scheduler.conditions.jinja_positions import children_of
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.yaml_nodes import ScalarNode
from scheduler.rendering.expression_check import ExpressionCheck, Roots
from scheduler.rendering.expression_types import ANYTHING, FUNCTION, TEXT, Kind, Type, named, of
from scheduler.rendering.macros import MacroFiles, imports_of
from scheduler.rendering.narrowing import Flow, joined
from scheduler.rendering.paths import Path

_MAX_CALLS = 1_000
"""Macros that are gone into for one text: macros that call macros may be many."""


class NoRoots:
    """What a macro sees that is imported without context: nothing. Reading more has its finding elsewhere."""

    missing_is_expected = False

    def type_of(self, path: Path, text: ScalarNode, part: nodes.Node, flow: Flow) -> Type | Diagnostic:
        return ANYTHING


@dataclass(frozen=True, slots=True)
class _Macro:
    """A macro, the check of the text that it stands in, and what that text's own names are worth (None: what they are
    worth where it is called)."""

    node: nodes.Macro
    check: TemplateCheck
    around: Flow | None


class TemplateCheck(ExpressionCheck):
    """Walks the statements of one text, and of the macro files that it imports."""

    def __init__(
        self,
        text: ScalarNode,
        roots: Roots,
        findings: list[Diagnostic],
        files: MacroFiles,
        running: list[nodes.Macro] | None = None,
    ) -> None:
        super().__init__(text, roots, findings)
        self._files = files
        self._macros: dict[str, _Macro] = {}
        self._modules: dict[str, dict[str, _Macro]] = {}
        self._running = [] if running is None else running
        """The macros that are gone into at the moment, over all files."""
        self._calls = 0

    def body(self, statements: Sequence[nodes.Node], flow: Flow) -> None:
        """Check statements one after the other."""
        for statement in statements:
            self._statement(statement, flow)

    def called(self, node: nodes.Call, flow: Flow) -> Type | None:
        macro: _Macro | None = None
        match node.node:
            case nodes.Name(name=name) if name in self._macros:
                macro = self._macros[name]
            case nodes.Getattr(node=nodes.Name(name=module), attr=name) if name in self._modules.get(module, {}):
                macro = self._modules[module][name]
            case nodes.Name(name="caller") if self._running:
                pass  # the body behind a `call`, which is checked where it stands
            case _:
                return None
        given = [self.type_of(argument, flow) for argument in node.args]
        named = {str(keyword.key): self.type_of(keyword.value, flow) for keyword in node.kwargs}
        for more in (node.dyn_args, node.dyn_kwargs):
            if more is not None:
                self.needed(more, flow)
        if macro is not None:
            spread = node.dyn_args is not None or node.dyn_kwargs is not None
            self._go_into(macro, {} if spread else _bound(macro.node, given, named), flow)
        return TEXT

    def _statement(self, node: nodes.Node, flow: Flow) -> None:
        match node:
            case nodes.Output(nodes=parts):
                for part in parts:
                    if not isinstance(part, nodes.TemplateData):
                        self.printed(part, flow)
            case nodes.If():
                self._if(node, flow)
            case nodes.For():
                self._for(node, flow)
            case nodes.Assign(target=target):
                _give(flow, target, self.type_of(node.node, flow))
            case nodes.AssignBlock(target=target):
                inner = flow.copy()
                self.body(node.body, inner)
                _give(flow, target, TEXT if node.filter is None else self.filtered(node.filter, TEXT, flow))
            case nodes.With(targets=targets, values=values):
                inner = flow.copy()
                for target, value in zip(targets, values, strict=True):
                    _give(inner, target, self.type_of(value, flow))
                self.body(node.body, inner)
            case nodes.FilterBlock():
                self.body(node.body, flow.copy())
                self.filtered(node.filter, TEXT, flow)
            case nodes.Macro(name=name):
                for default in node.defaults:
                    self.type_of(default, flow)
                self._macros[name] = _Macro(node, self, None)
                flow.give(name, FUNCTION)
                self._go_into(self._macros[name], {}, flow)
            case nodes.CallBlock():
                self.type_of(node.call, flow)
                inner = flow.copy()
                for parameter in node.args:
                    inner.give(parameter.name, ANYTHING)
                self.body(node.body, inner)
            case nodes.Import() | nodes.FromImport() | nodes.Include():
                self._import(node, flow)
            case nodes.ExprStmt():
                self.type_of(node.node, flow)
            case _:
                self.body(children_of(node), flow)

    def _if(self, node: nodes.If, flow: Flow) -> None:
        ways: list[Flow] = []
        before = flow.copy()
        for branch in (node, *node.elif_):
            true, false = self.decided(branch.test, before)
            self.body(branch.body, true)
            ways.append(true)
            before = false
        self.body(node.else_, before)
        for way in ways:
            before = joined(way, before, self.unset)
        flow.take(before)

    def _for(self, node: nodes.For, flow: Flow) -> None:
        """What is set in a loop is gone behind it."""
        over = self.needed(node.iter, flow)
        wrong = over.outside(Kind.TEXT, Kind.LIST, Kind.OBJECT, Kind.ITERATOR)
        if wrong:
            message = f"a loop goes through a list, not through {named(wrong[0])}"
            self.report("wrong-type", message, node.iter, "for so many times: `range(…)`")
        inner = flow.copy()
        _give(inner, node.target, _item_of(over))
        inner.give("loop", ANYTHING)
        if node.test is not None:
            inner, _ = self.decided(node.test, inner)
        self.body(node.body, inner)
        self.body(node.else_, flow.copy())

    def _import(self, node: nodes.Import | nodes.FromImport | nodes.Include, flow: Flow) -> None:
        for one in imports_of([node]):
            file = self._files.get(one.file)
            if file is None:
                continue
            roots: Roots = self.roots if one.with_context else NoRoots()
            check = TemplateCheck(file.node, roots, self.findings, self._files, self._running)
            if one.is_include:
                check.body(file.body, flow.copy() if one.with_context else Flow())
                continue
            # A macro is made before the text runs: what the text sets does not exist yet.
            learned = {path: found for path, found in flow.learned.items() if path[0] not in flow.own}
            around = Flow(learned=learned) if one.with_context else Flow()
            definitions = [part for part in file.body if not isinstance(part, nodes.Output | nodes.Macro)]
            check.body(definitions, around)
            macros = {name: _Macro(macro, check, around) for name, macro in file.macros.items()}
            check._macros.update(macros)
            if one.module is not None:
                self._modules[one.module] = macros
                values = {name: found for name, found in around.own.items() if name in file.parsed.own}
                fields = tuple({**dict.fromkeys(macros, FUNCTION), **values}.items())
                flow.give(one.module, replace(of(Kind.OBJECT), fields=fields))
            for name, here in one.names:
                flow.give(here, around.own.get(name, FUNCTION))
                if name in macros:
                    self._macros[here] = macros[name]

    def _go_into(self, macro: _Macro, bound: dict[str, Type], flow: Flow) -> None:
        """Check the body of a macro with the types of its parameters."""
        self._calls += 1
        if macro.node in self._running or self._calls > _MAX_CALLS:
            return
        inner = (flow if macro.around is None else macro.around).copy()
        inner.ended = False
        for parameter in macro.node.args:
            inner.give(parameter.name, bound.get(parameter.name, ANYTHING))
        for name, kind in (("caller", Kind.FUNCTION), ("varargs", Kind.LIST), ("kwargs", Kind.OBJECT)):
            inner.give(name, of(kind))
        self._running.append(macro.node)
        macro.check.body(macro.node.body, inner)
        self._running.pop()


def _bound(macro: nodes.Macro, given: Sequence[Type], named: dict[str, Type]) -> dict[str, Type]:
    """The types of a macro's parameters in a call."""
    parameters = [parameter.name for parameter in macro.args]
    return {**dict(zip(parameters, given, strict=False)), **named}


def _give(flow: Flow, target: nodes.Node, found: Type) -> None:
    """Names take values: one, or several of a list."""
    if isinstance(target, nodes.Name):
        flow.give(target.name, found)
    elif isinstance(target, nodes.Tuple):
        for item in target.items:
            _give(flow, item, ANYTHING)


def _item_of(over: Type) -> Type:
    """The type of what a loop goes through."""
    if over.item is not None:
        return over.item
    return TEXT if over.only(Kind.TEXT, Kind.OBJECT) else ANYTHING
