"""Whatever bytes stand in a file of a workspace, `check` answers within two seconds: with findings that each have a
message and a place inside of its file, and never with an exception.

    python -m fuzz.fuzz_check                      ten minutes of chance
    python -m fuzz.fuzz_check --seconds 60 --seed 7
    python -m fuzz.fuzz_check --file BYTES --as rules/tested.yaml      one input again
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.mutations import Mutator
from scheduler.diagnostics.diagnostic import Diagnostic
from scheduler.diagnostics.printers import as_github, as_json, as_text
from scheduler.diagnostics.source import Source
from scheduler.workspace.checking import check
from scheduler.workspace.folder import read_folder

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "rules_corpus"
MOST_SECONDS = 2.0
"""Of CPU time, for 20 kB: generous, as a check of a small workspace takes milliseconds."""
MOST_SEEDS = 3_000
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


@dataclass(frozen=True)
class Broken:
    """A promise that was broken: which one, in words that do not depend on the input, and all about it."""

    promise: str
    story: str


@dataclass(frozen=True)
class Failure:
    """Bytes that break a promise."""

    path: str
    content: bytes
    broken: Broken

    def write(self, folder: Path) -> Path:
        """The bytes in a file, to be tried again."""
        name = hashlib.sha256(self.content).hexdigest()[:12]
        file = folder / f"{name}-{Path(self.path).name}"
        file.write_bytes(self.content)
        return file


@dataclass
class Fuzzer:
    """Tries mutated files on a sound workspace. What brings a message that was never seen is a seed from then on."""

    seed: int
    check: Check = checked
    runs: int = 0
    _messages: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._mutator = Mutator(self.seed)
        self._sound = read_folder(CORPUS / "sound")
        self._seeds = {path: seeds_of(path) for path in FUZZED}

    def failure(self, *, runs: int | None = None, seconds: float | None = None) -> Failure | None:
        """The first failure among so many runs, or within so many seconds, made small."""
        end = time.monotonic() + seconds if seconds is not None else None
        while (runs is None or self.runs < runs) and (end is None or time.monotonic() < end):
            path = self._mutator.random.choice(sorted(FUZZED))
            seeds = self._seeds[path]
            content = self._mutator.mutated(self._mutator.random.choice(seeds), seeds)
            self.runs += 1
            broken, findings = self.tried(path, content)
            if broken is not None:
                return self._smaller(Failure(path, content, broken))
            if self._is_news(path, findings) and len(seeds) < MOST_SEEDS:
                seeds.append(content)
        return None

    def tried(self, path: str, content: bytes) -> tuple[Broken | None, Sequence[Diagnostic]]:
        """What is broken when the file at `path` is these bytes (None: nothing), and what was found."""
        text = content.decode("utf-8", "surrogateescape")
        start = time.process_time()
        try:
            findings = self.check({**self._sound, path: Source(path, text)})
            as_text(findings).encode(), as_json(findings).encode(), as_github(findings).encode()
        except Exception as problem:
            place = traceback.extract_tb(problem.__traceback__)[-1]
            promise = f"no exception: {type(problem).__name__} in {place.filename}:{place.lineno}"
            return Broken(promise, traceback.format_exc()), ()
        seconds = time.process_time() - start
        if seconds > MOST_SECONDS:
            return Broken("in time", f"took {seconds:.1f} s of CPU time"), findings
        return next((broken for finding in findings if (broken := broken_by(finding))), None), findings

    def _is_news(self, path: str, findings: Sequence[Diagnostic]) -> bool:
        # Without what it quotes, a message says which branch made it.
        messages = {(path, re.sub(r"'[^']*'|`[^`]*`|\d+", "", finding.message)) for finding in findings}
        news = messages - self._messages
        self._messages |= news
        return bool(news)

    def _smaller(self, failure: Failure) -> Failure:
        """The same failure without what it does not need."""
        size = len(failure.content) // 2
        while size:
            for start in range(0, len(failure.content), size):
                content = failure.content[:start] + failure.content[start + size :]
                broken, _ = self.tried(failure.path, content)
                if broken is not None and broken.promise == failure.broken.promise:
                    failure = Failure(failure.path, content, broken)
                    break
            else:
                size //= 2
        return failure


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the chance; another one every time")
    parser.add_argument("--file", type=Path, help="bytes to try again")
    parser.add_argument("--as", dest="path", choices=sorted(FUZZED), default="rules/tested.yaml")
    wanted = parser.parse_args()
    fuzzer = Fuzzer(wanted.seed)
    if wanted.file is not None:
        broken, findings = fuzzer.tried(wanted.path, wanted.file.read_bytes())
        sys.stdout.write(f"{broken.story if broken else as_text(findings)}\n")
        return 1 if broken else 0
    start = time.monotonic()
    failure = fuzzer.failure(seconds=wanted.seconds)
    seconds = time.monotonic() - start
    rate = fuzzer.runs / max(seconds, 0.001)
    sys.stdout.write(f"{fuzzer.runs} runs in {seconds:.0f} s, {rate:.0f} a second, with seed {wanted.seed}\n")
    if failure is None:
        return 0
    file = failure.write(Path(tempfile.mkdtemp(prefix="clarion-fuzz-")))
    sys.stdout.write(f"\nbroken: {failure.broken.promise}\n{failure.broken.story}\n")
    sys.stdout.write(f"again: python -m fuzz.fuzz_check --file {file} --as {failure.path}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
