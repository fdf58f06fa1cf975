"""Findings about a condition, at the characters of the file that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from jinja2 import nodes

from scheduler.conditions.jinja_positions import Extents
from scheduler.conditions.type_rules import Missing
from scheduler.diagnostics.diagnostic import Diagnostic, Severity
from scheduler.diagnostics.yaml_nodes import ScalarNode


class Report:
    """Collects the findings about one condition."""

    def __init__(self, node: ScalarNode, extents: Extents) -> None:
        self.findings: list[Diagnostic] = []
        self._node = node
        self._extents = extents

    def error(
        self, code: str, message: str, node: nodes.Expr, hint: str | None = None, last: nodes.Expr | None = None
    ) -> None:
        """An error about the text of `node`, or from `node` up to `last`."""
        self._add(Severity.ERROR, code, message, node, hint, last)

    def error_in_last(self, code: str, message: str, node: nodes.Expr, hint: str, *, characters: int) -> None:
        """An error about the last characters of `node`: the word behind a dot."""
        end = self._extents.of(node)[1]
        span = self._node.span_of(end - characters, end)
        self.findings.append(Diagnostic(Severity.ERROR, code, message, span, hint))

    def hazards(self, operation: str, missing: Iterable[Missing], *, behind: bool = False) -> None:
        """One finding for each name that may be missing under `!=`, `not in` or `not`, or `behind` it."""
        for name in missing:
            severity = Severity.ERROR if name.declared else Severity.WARNING
            example = {
                "!=": f"{name.name} != …",
                "not in": f"… not in {name.name}" if behind else f"{name.name} not in …",
            }.get(operation, "not …")
            message = f"'{name.name}' may be missing, and then `{operation}` is unknown: nobody without it matches"
            hint = (
                f"to include those without it, say what they count as: `{name.name} | default(…)`; "
                f"to leave them out on purpose: `{name.name} is defined and {example}`"
            )
            if name.computed:
                hint = f"say what it counts as then: `{name.name} | default(…)`"
            elif name.name == "previous":
                hint = (
                    "to include the first event: `previous is not defined or not …`; "
                    "to leave it out on purpose: `previous is defined and not …`"
                )
            span = self._node.span_of(name.start, name.end)
            self.findings.append(Diagnostic(severity, "missing-hazard", message, span, hint))

    def text_of(self, node: nodes.Expr) -> str:
        """A node as it is written, on one line."""
        start, end = self._extents.of(node)
        return " ".join(self._node.text[start:end].split())

    def extent_of(self, node: nodes.Expr) -> tuple[int, int]:
        """The characters of the condition's text that a node is."""
        return self._extents.of(node)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Forget what is found meanwhile: the same text is looked at a second time."""
        before = len(self.findings)
        yield
        del self.findings[before:]

    def _add(
        self, severity: Severity, code: str, message: str, node: nodes.Expr, hint: str | None, last: nodes.Expr | None
    ) -> None:
        start, end = self._extents.of(node)
        if last is not None:
            end = self._extents.of(last)[1]
        self.findings.append(Diagnostic(severity, code, message, self._node.span_of(start, end), hint))
