"""Many small templates compiled into one function: the texts of all leaves of a payload in one go.

Each leaf is parsed alone, so a leaf cannot reach into another. The parsed bodies become one template whose output is
the leaves' texts with a NUL between them. Three things are rewritten on the way:
- a path (`event.data.home`) becomes one plain variable, looked up before the template runs: faster than Jinja's chain
  of look-ups, and the values say which renders are equal;
- a constant of `message.with` becomes a literal, which Jinja's optimiser folds into the text around it;
- `~` becomes a bounded join; an inline `if` without `else` is the empty text, as in Jinja itself.

Syntax nodes carry 1 + character offset in place of a line (see conditions/jinja_positions.py). Leaves are moved apart
by the length of their texts, so the place of a runtime error tells its leaf.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from scheduler.conditions.jinja_positions import runtime_place
from scheduler.domain.json_values import Json
from scheduler.rendering.paths import Path, dotted, local_names, path_of
from scheduler.rendering.results import Aborted, RenderFailure
from scheduler.rendering.sandbox import AS_JSON, BOUNDED, ENVIRONMENT, JOINED, Abort, MissingVariable, joined, missing

SEPARATOR = "\0"


@dataclass(frozen=True, slots=True)
class LeafText:
    """A template text, the name of its place (`aps.alert.body`), and whether its one expression keeps its type."""

    label: str
    text: str
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Fused:
    """One compiled function over the values of `paths`; `names[i]` is the variable of `paths[i]`."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    absent: tuple[object, ...]
    """What stands for a missing value of each path."""
    labels: tuple[str, ...]
    _starts: tuple[int, ...]
    _template: Template

    def render(self, values: dict[str, object]) -> str | RenderFailure | Aborted:
        """The texts of the leaves, NUL between them. `values` has a value or `absent` for every name."""
        context = Context(ENVIRONMENT, values, None, {})
        try:
            return joined(self._template.root_render_func(context))
        except Abort as stop:
            return Aborted(str(stop))
        except MissingVariable as problem:
            return RenderFailure(self._leaf(problem), str(problem), problem.variable)
        except (TemplateError, SecurityError) as problem:
            return RenderFailure(self._leaf(problem), problem.message or type(problem).__name__)
        except Exception as problem:  # a template is a program: whatever it does wrong is a finding about it
            return RenderFailure(self._leaf(problem), f"{type(problem).__name__}: {problem}")

    def _leaf(self, problem: Exception) -> str:
        place = runtime_place(problem)
        return self.labels[bisect.bisect_right(self._starts, place[1] if place else 0) - 1]


class Uncompilable(Exception):
    """A text that is well-formed and still cannot become code; the message says why."""


@lru_cache(maxsize=1024)
def parsed(text: str) -> nodes.Template:
    """A template text as a tree to look at, not to change. TemplateSyntaxError carries the offset."""
    return ENVIRONMENT.parse(text)


def is_single_expression(text: str) -> bool:
    """Whether a text is `{{ x }}` without anything around it."""
    return _single_expression(parsed(text).body) is not None


def _single_expression(body: Sequence[nodes.Node]) -> nodes.Expr | None:
    match body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            return expression
    return None


def fuse(
    leaves: Sequence[LeafText],
    *,
    constants: Mapping[str, Json] | None = None,
    computed: Sequence[LeafText] = (),
) -> Fused:
    """Compile texts that `check_text` has no error for.

    `computed` are named texts (label `with.NAME`) that the leaves read as NAME; those that nobody reads are left out.
    Uncompilable when Jinja or Python cannot make code of them.
    """
    try:
        return _fuse(leaves, constants or {}, computed)
    except TemplateSyntaxError as problem:
        raise Uncompilable((problem.message or "not valid Jinja").rstrip(".")) from problem
    except (SyntaxError, RecursionError, MemoryError) as problem:
        raise Uncompilable("the template is nested too deeply") from problem


def _fuse(leaves: Sequence[LeafText], constants: Mapping[str, Json], computed: Sequence[LeafText]) -> Fused:
    builder = _Builder(constants, {leaf.label.rpartition(".")[2] for leaf in computed})
    bodies = [builder.leaf(leaf) for leaf in leaves]
    assigned = [builder.assignment(leaf) for leaf in computed if leaf.label.rpartition(".")[2] in builder.read]
    separated: list[nodes.Node] = []
    for number, body in enumerate(bodies):
        if number:
            separated.append(nodes.Output([nodes.TemplateData(SEPARATOR)]))
        separated.append(nodes.Scope(body))
    # Inside a scope nothing is exported to the context, so one run of the template leaves no trace for the next.
    tree = nodes.Template([nodes.Scope([*assigned, *separated])], lineno=1)
    tree.set_environment(ENVIRONMENT)
    code = ENVIRONMENT.compile(tree, filename="<payload>")
    names = builder.names
    return Fused(
        paths=tuple(names),
        names=tuple(names.values()),
        absent=tuple(missing(dotted(path)) for path in names),
        labels=tuple(builder.labels),
        _starts=tuple(builder.starts),
        _template=Template.from_code(ENVIRONMENT, code, {}),
    )


class _Builder:
    """Collects the variables and the places of leaves while it rewrites them."""

    def __init__(self, constants: Mapping[str, Json], computed: set[str]) -> None:
        self.constants = constants
        self.computed = computed
        self.read: set[str] = set()
        self.names: dict[Path, str] = {}
        self.labels: list[str] = []
        self.starts: list[int] = []
        self._next_start = 0

    def leaf(self, leaf: LeafText) -> list[nodes.Node]:
        body = self._rewritten(leaf)
        if leaf.as_json:
            expression = _single_expression(body)
            assert expression is not None
            body = [nodes.Output([_filter(expression, AS_JSON)], lineno=expression.lineno)]
        return body

    def assignment(self, leaf: LeafText) -> nodes.Node:
        body = self._rewritten(leaf)
        target = nodes.Name(_local(leaf.label.rpartition(".")[2]), "store")
        expression = _single_expression(body)
        if expression is not None:
            return nodes.Assign(target, expression, lineno=expression.lineno)
        return nodes.AssignBlock(target, None, body, lineno=self.starts[-1] + 1)

    def _rewritten(self, leaf: LeafText) -> list[nodes.Node]:
        tree = ENVIRONMENT.parse(leaf.text)
        start = self._next_start
        self._next_start += len(leaf.text) + 1
        self.labels.append(leaf.label)
        self.starts.append(start)
        for node in _all(tree):
            node.lineno = (node.lineno or 1) + start
        _Rewriter(self, local_names(tree)).visit(tree)
        return tree.body

    def variable(self, path: Path) -> str:
        return self.names.setdefault(path, f"{_PREFIX}{len(self.names)}")


class _Rewriter(NodeTransformer):
    def __init__(self, builder: _Builder, local: frozenset[str]) -> None:
        self.builder = builder
        self.local = local

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802 - Jinja's visitor names
        return self._variable(node) or node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        return self._variable(node) or self.generic_visit(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        return self._variable(node) or self.generic_visit(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        if isinstance(node.node, nodes.Getattr):
            node.node.node = self.visit(node.node.node)
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
        if all(isinstance(inner, nodes.Const | nodes.Pair) for inner in _all(node)):
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
        if root in self.local:
            return node
        if root in self.builder.constants:
            return _below(nodes.Const(self.builder.constants[root], lineno=node.lineno), path)
        if root in self.builder.computed:
            self.builder.read.add(root)
            return _below(nodes.Name(_local(root), "load", lineno=node.lineno), path)
        return nodes.Name(self.builder.variable(path), "load", lineno=node.lineno)


_PREFIX = "_path_"


def _local(name: str) -> str:
    return f"_with_{name}"


def _below(node: nodes.Expr, path: Path) -> nodes.Expr:
    for key in path[1:]:
        node = nodes.Getitem(node, nodes.Const(key, lineno=node.lineno), "load", lineno=node.lineno)
    return node


def _filter(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _all(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield child
        yield from _all(child)
