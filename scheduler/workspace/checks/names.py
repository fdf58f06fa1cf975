"""Names that a rule says it had: none of them may still be one, or the two would take each other's occasions; and two
rules that say the same one are most likely a slip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from scheduler.diagnostics.diagnostic import Diagnostic, error, warning
from scheduler.rules.rule import EarlierName, Rule


def check_names(rule: Rule, paths: Iterable[str]) -> Iterator[Diagnostic]:
    """Earlier names of a rule that a file is still called by, its own among them. `paths` are a workspace's files."""
    earlier = {one.name: one for one in rule.renamed_from}
    if not earlier:
        return
    for path in sorted(paths):
        pure = PurePosixPath(path)
        if pure.suffix == ".yaml" and pure.stem in earlier and _is_rule(pure):
            message = f"a rule is still called '{pure.stem}': {path}"
            yield error("contradiction", message, earlier[pure.stem].span, "leave that name out, or remove that file")


def check_earlier_names(rules: Iterable[Sequence[EarlierName]]) -> Iterator[Diagnostic]:
    """Names that two rules say they had, given those of each. Each counts what ran under them as its own: right where a
    rule was split, and else a slip that nobody sees."""
    first: dict[str, tuple[int, EarlierName]] = {}
    for number, names in enumerate(rules):
        for one in names:
            owner, other = first.setdefault(one.name, (number, one))
            if owner != number:
                message = (
                    f"two rules say that they were called '{one.name}', and both count what ran under that name as "
                    f"their own; the other is {other.span}"
                )
                hint = "leave it out of the one that never had this name, or `ignore` this if that rule was split"
                yield warning("contradiction", message, one.span, hint)


def _is_rule(path: PurePosixPath) -> bool:
    return path.parts[0] == "rules" and path.parts[:2] != ("rules", "tests")
