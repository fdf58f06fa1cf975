"""Names that a rule says it had: none of them may still be one, or be said by another rule too, or the two would take
each other's occasions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from scheduler.diagnostics.diagnostic import Diagnostic, error
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
    """Names that two rules say they had, given those of each: both would count what ran under them as their own."""
    first: dict[str, tuple[int, EarlierName]] = {}
    for number, names in enumerate(rules):
        for one in names:
            owner, other = first.setdefault(one.name, (number, one))
            if owner != number:
                message = (
                    f"two rules say that they were called '{one.name}', and both would count what ran under that name "
                    f"as their own; the other is {other.span}"
                )
                hint = "leave it out of all but one; where the rule was split, of the part that is new"
                yield error("contradiction", message, one.span, hint)


def _is_rule(path: PurePosixPath) -> bool:
    return path.parts[0] == "rules" and path.parts[:2] != ("rules", "tests")
