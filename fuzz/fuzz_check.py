"""Whatever bytes stand in a file of a workspace, `check` answers within two seconds: with findings that each have a
message and a place inside of its file, and never with an exception.

    python -m fuzz.fuzz_check                      ten minutes of chance
    python -m fuzz.fuzz_check --seconds 60 --seed 7
    python -m fuzz.fuzz_check --file BYTES --as rules/tested.yaml      one input again
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz.fuzzer import Broken, Tried, main
from fuzz.mutations import WORKSPACE_TOKENS
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.printers import as_github, as_json, as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.folder import read_folder

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "rules_corpus"
FUZZED: Mapping[str, Sequence[str]] = {
    "rules/tested.yaml": ("rules/*.yaml", "tests/rules_corpus/*/rules/*.yaml", "tests/rules_corpus/*/*/tested.yaml"),
    "templates/tested.yaml": ("templates/*.yaml", "tests/rules_corpus/*/templates/*.yaml"),
    "templates/tested.de.yaml": ("templates/*.de.yaml", "tests/rules_corpus/*/overlays/*.yaml"),
    "templates/money.j2": ("templates/*.j2", "tests/rules_corpus/*/*/*.j2"),
    "clarion.yaml": ("clarion.yaml", "tests/rules_corpus/*/settings/*.yaml"),
    "schema.yaml": ("schema.yaml", "tests/rules_corpus/*/schema/*.yaml"),
}
"""The files of the workspace that get any bytes, and where bytes to begin with are found."""

Check = Callable[[Mapping[str, Source]], Sequence[Diagnostic]]


def checked(files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    return check(files, Path("/w"), {})


@dataclass
class WorkspaceFiles:
    """A sound workspace, one file of which is replaced by the input."""

    check: Check = checked
    most_seconds: float = 2.0
    """For 20 kB: generous, as a check of a small workspace takes milliseconds."""
    tokens: Sequence[bytes] = WORKSPACE_TOKENS

    def __post_init__(self) -> None:
        self._sound = read_folder(CORPUS / "sound")

    def seeds(self) -> Mapping[str, list[bytes]]:
        return {path: seeds_of(path) for path in FUZZED}

    def tried(self, kind: str, content: bytes) -> Tried:
        text = content.decode("utf-8", "surrogateescape")
        findings = self.check({**self._sound, kind: Source(kind, text)})
        shown = as_text(findings)
        shown.encode(), as_json(findings).encode(), as_github(findings).encode()
        broken = next((broken for finding in findings if (broken := broken_by(finding))), None)
        # Without what it quotes, a message says which branch made it.
        seen = {(kind, re.sub(r"'[^']*'|`[^`]*`|\d+", "", finding.message)) for finding in findings}
        return Tried(broken, seen, shown)


def seeds_of(path: str) -> list[bytes]:
    """The contents to begin with, always in the same order."""
    found = [file.read_bytes() for pattern in FUZZED[path] for file in sorted(ROOT.glob(pattern))]
    return [*found, b"a: 1\n"]


def broken_by(finding: Diagnostic) -> Broken | None:
    """What is wrong with a finding itself."""
    text, span = finding.span.source.text, finding.span
    if not finding.message.strip() or not finding.code:
        return Broken("a message", f"a finding says nothing: {finding}")
    if not 0 <= span.start <= len(text) or not span.start < span.end <= max(len(text), span.start + 1):
        story = f"from {span.start} to {span.end} in a file of {len(text)} characters: {finding.message}"
        return Broken("a place in the file", story)
    return None


if __name__ == "__main__":
    sys.exit(main(WorkspaceFiles(), "fuzz.fuzz_check", __doc__))
