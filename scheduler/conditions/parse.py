"""Text → Condition: limits, Jinja's parser, then the checks. Findings point at the exact characters."""

from __future__ import annotations

import re

from jinja2 import TemplateSyntaxError, nodes

from scheduler.conditions.binding import bound
from scheduler.conditions.checking import Checker
from scheduler.conditions.condition import Condition
from scheduler.conditions.jinja_positions import Extents, OffsetEnvironment, children_of, offset_of, parse_expression
from scheduler.conditions.syntax_problems import explained
from scheduler.conditions.types import Schema
from scheduler.diagnostics.diagnostic import Diagnostic, error, has_errors
from scheduler.diagnostics.yaml_nodes import ScalarNode

MAX_CHARACTERS = 2_000
MAX_LEVELS = 50

_ENVIRONMENT = OffsetEnvironment()
_BRACES = re.compile(r"\{\{|\}\}|\{%")


def parse_condition(
    node: ScalarNode,
    schema: Schema,
    *,
    names: frozenset[str],
    event_type: str | None = None,
    exit_type: str | None = None,
) -> tuple[Condition | None, list[Diagnostic]]:
    """The condition that a scalar holds, and every finding about it. None exactly when one of them is an error.

    `names` are the roots that are known where the condition stands (of `name_checks.ROOTS`). `event_type` is the
    trigger's, for the types of `event.data`; `exit_type` that of the event which `exit` is.
    """
    try:
        refused = _refusal(node)
        if refused is not None:
            return None, [refused]
        extents = Extents(_ENVIRONMENT, node.text)
        depth, place = extents.depth()
        if depth > MAX_LEVELS:
            return None, [_too_deep(node, place)]
        tree = parse_expression(_ENVIRONMENT, node.text)
        if _levels(tree) > MAX_LEVELS:
            return None, [_too_deep(node, offset_of(tree))]
        checker = Checker(node, extents, schema, names, event_type, exit_type)
        expression = checker.condition(tree)
    except TemplateSyntaxError as problem:
        return None, [_syntax_error(node, problem)]
    except RecursionError:
        # The levels are few enough for any ordinary stack; the caller's is nearly used up.
        return None, [_too_deep(node, 0)]
    findings = sorted(checker.findings, key=lambda finding: finding.span.start)
    if has_errors(findings):
        return None, findings
    return Condition(bound(expression, {}), node.text), findings


def _refusal(node: ScalarNode) -> Diagnostic | None:
    if not node.text.strip():
        return error("empty-condition", "the condition is empty", node.span, "leave the key out, or write `true`")
    if len(node.text) > MAX_CHARACTERS:
        message = f"the condition has {len(node.text):,} characters; {MAX_CHARACTERS:,} is the most"
        return error("condition-too-long", message, node.span_of(MAX_CHARACTERS),
                     "give these people a topic or an attribute, and ask for that")  # fmt: skip
    braces = _BRACES.search(node.text)
    if braces is not None:
        plain = re.sub(r"\s*(\{\{|\}\}|\{%-?|-?%\})\s*", " ", node.text).strip()
        message = f"a condition is an expression already: no `{braces[0]}` in it"
        return error("braces-in-condition", message, node.span_of(*braces.span()), f"write `{plain}`")
    return None


def _too_deep(node: ScalarNode, offset: int) -> Diagnostic:
    message = f"the condition is nested over {MAX_LEVELS} levels"
    return error("condition-too-deep", message, node.span_of(offset), "split it, or use `in` with a list")


def _levels(tree: nodes.Expr) -> int:
    """How deep the tree is. A chain of `and`, or of `or`, is one level; so is a dotted name."""
    deepest = 0
    waiting: list[tuple[nodes.Node, int]] = [(tree, 1)]
    while waiting:
        node, level = waiting.pop()
        deepest = max(deepest, level)
        for child in children_of(node):
            continues = type(child) is type(node) and isinstance(node, nodes.And | nodes.Or | nodes.Getattr)
            waiting.append((child, level if continues else level + 1))
    return deepest


def _syntax_error(node: ScalarNode, problem: TemplateSyntaxError) -> Diagnostic:
    start, end, message, hint = explained(node.text, problem)
    return error("condition-syntax", message, node.span_of(start, end), hint)
