"""Syntax trees of leaves and macro files, rewritten to stand together in one template. What and why: fusing.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from scheduler.conditions.jinja_positions import children_of
from scheduler.domain.json_values import Json
from scheduler.rendering.leaf_texts import LeafText, ParsedText, copy_of, parsed, single_expression
from scheduler.rendering.macros import MacroFiles, calls_of, imports_of
from scheduler.rendering.paths import Path, path_of
from scheduler.rendering.sandbox import AS_JSON, BOUNDED, COUNTED, JOINED

_PREFIX = "_path_"
STEPS = "_steps"
"""The variable that holds the steps which a render may still do."""
CHEAP_FILTERS = frozenset({
    "abs", "count", "d", "default", "first", "float", "format", "int", "last", "length", "omit", "round", "string",
    AS_JSON, BOUNDED, COUNTED, JOINED,
})  # fmt: skip
"""Filters whose cost does not grow with what they are given."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the names of `with` are worth to some leaves: constants, and the variables that hold computed ones.

    `variants` are the numbers of the variants that these leaves are a part of.
    """

    key: object
    """Equal where these values are."""
    constants: Mapping[str, Json]
    computed: Mapping[str, str]
    variants: frozenset[int]


class Builder:
    """Collects the variables and the places of leaves while it rewrites them."""

    def __init__(self, macros: MacroFiles) -> None:
        self.macros = macros
        self.macro_texts: dict[str, str] = {}
        self.counts_steps = False
        self.names: dict[Path, str] = {}
        self.readers: dict[Path, set[int]] = {}
        """By path, the variants that read it."""
        self.labels: list[str] = []
        self.starts: list[int] = []
        self._next_start = 0
        self._definitions: list[tuple[nodes.Node, _MacroPart]] = []
        self._parts: dict[tuple[str, object], _MacroPart] = {}

    def leaf(self, leaf: LeafText, given: Given) -> list[nodes.Node]:
        """The statements that print a leaf."""
        body = self._rewritten(leaf, given)
        if leaf.as_json:
            expression = single_expression(body)
            assert expression is not None
            body = [nodes.Output([_filter(expression, AS_JSON)], lineno=expression.lineno)]
        return body

    def assignment(self, leaf: LeafText, variable: str, given: Given) -> nodes.Node:
        """The statement that gives a computed value of `with` to its variable."""
        body = self._rewritten(leaf, given)
        target = nodes.Name(variable, "store")
        expression = single_expression(body)
        if expression is not None:
            return nodes.Assign(target, expression, lineno=expression.lineno)
        return nodes.AssignBlock(target, None, body, lineno=self.starts[-1] + 1)

    def definitions(self) -> Iterator[tuple[nodes.Node, frozenset[int]]]:
        """The macros and values of imported files, in an order in which they can stand, with the variants that need
        them. To be asked for when all leaves were rewritten."""
        for part in reversed(self._parts.values()):  # who imports stands behind what is imported
            for inner in part.rewriter.imported:
                inner.variants.update(part.variants)
            for path in part.rewriter.paths:
                self.readers[path].update(part.variants)
        for node, part in self._definitions:
            yield node, frozenset(part.variants)

    def _rewritten(self, leaf: LeafText, given: Given) -> list[nodes.Node]:
        text = parsed(leaf.text)
        tree = self._placed(copy_of(text.tree), leaf.label, leaf.text)
        self._rewriter(text, {}, given, sees_all=True).visit(tree)
        return tree.body

    def _placed(self, tree: nodes.Template, label: str, text: str) -> nodes.Template:
        """The tree with places of its own among those of all texts."""
        start = self._next_start
        self._next_start += len(text) + 1
        self.labels.append(label)
        self.starts.append(start)
        if start:
            _move(tree, start)
        return tree

    def _rewriter(self, text: ParsedText, own: Mapping[str, str], given: Given, *, sees_all: bool) -> _Rewriter:
        """What rewrites a copy of the tree of a text in place. `own` are the names that its file gives macros and
        values, with what they became; without `sees_all` it sees nothing else."""
        rewriter = _Rewriter(self, text.own, dict(own), given, sees_all=sees_all)
        for one in imports_of(text.parts):
            if one.is_include:
                continue
            part = self._define(one.file, one.wanted_of(text.parts), given, with_context=one.with_context)
            rewriter.imported.append(part)
            rewriter.called.update((here, part.own[name]) for name, here in one.names)
            if one.module is not None:
                rewriter.modules[one.module] = part.own
        return rewriter

    def _define(self, file: str, wanted: Iterable[str], given: Given, *, with_context: bool) -> _MacroPart:
        """Define macros of a file, and what they call. Macros that see the names of `with` are others for other
        values."""
        key = file, given.key if with_context else None
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = self._part(file, len(self._parts), given, with_context=with_context)
        part.variants.update(given.variants)
        for name in wanted:
            self._define_macro(part, name)
        return part

    def _part(self, file: str, number: int, given: Given, *, with_context: bool) -> _MacroPart:
        tree = self._macro_tree(file)
        own = {name: f"_macro_{number}_{name}" for name in _top_level_names(tree)}
        waiting = {node.name: node for node in tree.body if isinstance(node, nodes.Macro)}
        rewriter = self._rewriter(self.macros[file].parsed, own, given, sees_all=with_context)
        part = _MacroPart(own, waiting, rewriter, set())
        for node in tree.body:
            if isinstance(node, nodes.Assign | nodes.AssignBlock):
                self._definitions.append((rewriter.visit(node), part))
        return part

    def _define_macro(self, part: _MacroPart, name: str) -> None:
        """A macro stands behind those that it calls. It is taken out of `waiting`: what calls itself ends here."""
        macro = part.waiting.pop(name, None)
        if macro is None:
            return
        for callee in calls_of(macro):
            self._define_macro(part, callee)
        self._definitions.append((part.rewriter.visit(macro), part))

    def included(self, file: str, given: Given, around: frozenset[str], *, with_context: bool) -> list[nodes.Node]:
        """The content of a file, to stand where it is included. `around` are the names that are set there."""
        tree = self._macro_tree(file)
        rewriter = self._rewriter(self.macros[file].parsed, {}, given, sees_all=with_context)
        rewriter.local |= around
        rewriter.visit(tree)
        return tree.body

    def _macro_tree(self, file: str) -> nodes.Template:
        node = self.macros[file].node
        path = node.span.source.path
        self.macro_texts[path] = node.text
        return self._placed(copy_of(self.macros[file].parsed.tree), path, node.text)

    def variable(self, path: Path, readers: frozenset[int]) -> str:
        """The variable that stands for a path which these variants read."""
        self.readers.setdefault(path, set()).update(readers)
        return self.names.setdefault(path, f"{_PREFIX}{len(self.names)}")


@dataclass(frozen=True, slots=True)
class _MacroPart:
    """A macro file as leaves use it: what its names became, the macros that nothing has asked for yet, and the
    variants of those leaves."""

    own: Mapping[str, str]
    waiting: dict[str, nodes.Macro]
    rewriter: _Rewriter
    variants: set[int]


class _Rewriter(NodeTransformer):
    def __init__(
        self,
        builder: Builder,
        local: frozenset[str],
        called: dict[str, str],
        given: Given,
        *,
        sees_all: bool,
    ) -> None:
        self.builder = builder
        self.local = local
        self.called = called
        self.modules: dict[str, Mapping[str, str]] = {}
        self.imported: list[_MacroPart] = []
        self.paths: set[Path] = set()
        self.given = given
        self.sees_all = sees_all

    def visit_Import(self, node: nodes.Import) -> None:  # noqa: N802
        """What it imports is defined already."""

    def visit_FromImport(self, node: nodes.FromImport) -> None:  # noqa: N802
        """So is what it names."""

    def visit_Include(self, node: nodes.Include) -> nodes.Node:  # noqa: N802
        assert isinstance(node.template, nodes.Const)
        around = self.local if node.with_context else frozenset()
        body = self.builder.included(node.template.value, self.given, around, with_context=bool(node.with_context))
        return nodes.Scope(body, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.iter = self._counted(node.iter)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.name = self.called.get(node.name, node.name)
        node.body.insert(0, nodes.ExprStmt(self._counted(nodes.Const(0, lineno=node.lineno)), lineno=node.lineno))
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if node.node is not None and node.name not in CHEAP_FILTERS:
            node.node = self._counted(node.node)
        return node

    def _counted(self, node: nodes.Node) -> nodes.Filter:
        self.builder.counts_steps = True
        steps = nodes.Name(STEPS, "load", lineno=node.lineno)
        return nodes.Filter(node, COUNTED, [steps], [], None, None, lineno=node.lineno)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - Jinja's visitor names
        if node.ctx == "store":
            node.name = self.called.get(node.name, node.name)
        return self._variable(node) or node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        return self._variable(node) or self.generic_visit(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        return self._variable(node) or self.generic_visit(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        macro = self._macro(node.node)
        if macro is not None:
            node.node = nodes.Name(macro, "load", lineno=node.lineno)
        elif isinstance(node.node, nodes.Getattr):
            node.node.node = self._counted(self.visit(node.node.node))
        elif isinstance(node.node, nodes.Name) and node.node.name not in self.local:
            # A function: reached through the environment, so that the variables of a render are data alone.
            functions = nodes.EnvironmentAttribute("functions", lineno=node.lineno)
            name = nodes.Const(node.node.name, lineno=node.lineno)
            node.node = nodes.Getitem(functions, name, "load", lineno=node.lineno)
        else:
            node.node = self.visit(node.node)
        node.args = [self.visit(argument) for argument in node.args]
        for keyword in node.kwargs:
            keyword.value = self.visit(keyword.value)
        node.dyn_args = node.dyn_args and self.visit(node.dyn_args)
        node.dyn_kwargs = node.dyn_kwargs and self.visit(node.dyn_kwargs)
        return node

    def _macro(self, callee: nodes.Expr) -> str | None:
        """What a macro that is called became."""
        match callee:
            case nodes.Name(name=name):
                return self.called.get(name)
            case nodes.Getattr(node=nodes.Name(name=module), attr=name) if module in self.modules:
                return self.modules[module].get(name)
        return None

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        items = [self.visit(item) for item in node.nodes]
        return _filter(nodes.List(items, lineno=node.lineno), JOINED)

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        return self._container(node)

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        return self._container(node) if node.ctx == "load" else self.generic_visit(node)

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:  # noqa: N802
        return self._container(node)

    def _container(self, node: nodes.Literal) -> nodes.Node:
        """What a template puts together is bounded; what consists of constants is bounded by its text."""
        if _is_constant(node):
            return node
        self.generic_visit(node)
        return _filter(node, BOUNDED)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        if node.expr2 is None:
            node.expr2 = nodes.Const("", lineno=node.lineno)
        return self.generic_visit(node)

    def _variable(self, node: nodes.Node) -> nodes.Node | None:
        """What stands for a path; None for what is no path."""
        path = path_of(node)
        if path is None:
            return None
        root = str(path[0])
        if root in self.called:
            return _below(nodes.Name(self.called[root], "load", lineno=node.lineno), path)
        if len(path) > 1 and path[1] in self.modules.get(root, ()):
            value = self.modules[root][str(path[1])]
            return _below(nodes.Name(value, "load", lineno=node.lineno), path[1:])
        if root in self.local or not self.sees_all:
            return node
        if root in self.given.constants:
            return _below(nodes.Const(self.given.constants[root], lineno=node.lineno), path)
        if root in self.given.computed:
            return _below(nodes.Name(self.given.computed[root], "load", lineno=node.lineno), path)
        self.paths.add(path)
        return nodes.Name(self.builder.variable(path, self.given.variants), "load", lineno=node.lineno)


def _top_level_names(tree: nodes.Template) -> Iterator[str]:
    """The names that a macro file gives: to macros, and to values by `set`."""
    for node in tree.body:
        match node:
            case nodes.Macro(name=name):
                yield name
            case nodes.Assign(target=nodes.Name(name=name)) | nodes.AssignBlock(target=nodes.Name(name=name)):
                yield name


def _below(node: nodes.Expr, path: Path) -> nodes.Expr:
    for key in path[1:]:
        node = nodes.Getitem(node, nodes.Const(key, lineno=node.lineno), "load", lineno=node.lineno)
    return node


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _move(node: nodes.Node, by: int) -> None:
    """Move all that is below a node behind the texts before it."""
    for child in children_of(node):
        child.lineno = (child.lineno or 1) + by
        _move(child, by)


def _is_constant(node: nodes.Node) -> bool:
    """Whether there are only constants below a node."""
    return all(isinstance(one, nodes.Const | nodes.Pair) and _is_constant(one) for one in children_of(node))
