"""Looks for bytes that break what a target promises for any bytes, and makes them small."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
import traceback
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fuzz.mutations import Mutator

MOST_SEEDS = 3_000


@dataclass(frozen=True)
class Broken:
    """A promise that was broken: which one, in words that do not depend on the input, and all about it."""

    promise: str
    story: str


@dataclass(frozen=True)
class Tried:
    """What came of an input: the promise it broke, what was seen on the way, and what to tell a person about it."""

    broken: Broken | None = None
    seen: AbstractSet[Hashable] = frozenset()
    """Whatever shows which way the input went; one that goes a new way is a seed from then on."""
    shown: str = ""


class Target(Protocol):
    """What is fuzzed. An exception of `tried` is a broken promise of its own, and so is taking too long."""

    most_seconds: float
    """Of CPU time, for one input."""
    tokens: Sequence[bytes]
    """What is put into inputs."""

    def seeds(self) -> Mapping[str, list[bytes]]:
        """The kinds of input by name, and the inputs to begin with; always in the same order."""
        ...

    def tried(self, kind: str, content: bytes) -> Tried: ...


@dataclass(frozen=True)
class Failure:
    """Bytes that break a promise."""

    kind: str
    content: bytes
    broken: Broken

    def write(self, folder: Path) -> Path:
        """The bytes in a file, to be tried again."""
        name = hashlib.sha256(self.content).hexdigest()[:12]
        file = folder / f"{name}-{Path(self.kind).name}"
        file.write_bytes(self.content)
        return file


@dataclass
class Fuzzer:
    """Tries mutated inputs by chance that `seed` fixes."""

    target: Target
    seed: int
    runs: int = 0
    _seen: set[Hashable] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._mutator = Mutator(self.seed, self.target.tokens)
        self._seeds = self.target.seeds()

    def failure(self, *, runs: int | None = None, seconds: float | None = None) -> Failure | None:
        """The first failure among so many runs, or within so many seconds, made small."""
        end = time.monotonic() + seconds if seconds is not None else None
        while (runs is None or self.runs < runs) and (end is None or time.monotonic() < end):
            kind = self._mutator.random.choice(sorted(self._seeds))
            seeds = self._seeds[kind]
            content = self._mutator.mutated(self._mutator.random.choice(seeds), seeds)
            self.runs += 1
            tried = self.tried(kind, content)
            if tried.broken is not None:
                return self._smaller(Failure(kind, content, tried.broken))
            if not tried.seen <= self._seen:
                self._seen |= tried.seen
                if len(seeds) < MOST_SEEDS:
                    seeds.append(content)
        return None

    def tried(self, kind: str, content: bytes) -> Tried:
        """What comes of one input."""
        start = time.process_time()
        try:
            tried = self.target.tried(kind, content)
        except Exception as problem:
            place = traceback.extract_tb(problem.__traceback__)[-1]
            promise = f"no exception: {type(problem).__name__} in {place.filename}:{place.lineno}"
            return Tried(Broken(promise, traceback.format_exc()))
        seconds = time.process_time() - start
        if seconds > self.target.most_seconds:
            return Tried(Broken("in time", f"took {seconds:.1f} s of CPU time"))
        return tried

    def _smaller(self, failure: Failure) -> Failure:
        """The same failure without what it does not need."""
        size = len(failure.content) // 2
        while size:
            for start in range(0, len(failure.content), size):
                content = failure.content[:start] + failure.content[start + size :]
                broken = self.tried(failure.kind, content).broken
                if broken is not None and broken.promise == failure.broken.promise:
                    failure = Failure(failure.kind, content, broken)
                    break
            else:
                size //= 2
        return failure


def main(target: Target, name: str, about: str | None) -> int:
    """The command line of the target in the module `name`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = sorted(target.seeds())
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the chance; another one every time")
    parser.add_argument("--file", type=Path, help="bytes to try again")
    parser.add_argument("--as", dest="kind", choices=kinds, default=kinds[0])
    wanted = parser.parse_args()
    fuzzer = Fuzzer(target, wanted.seed)
    if wanted.file is not None:
        tried = fuzzer.tried(wanted.kind, wanted.file.read_bytes())
        sys.stdout.write(f"{tried.broken.story if tried.broken else tried.shown}\n")
        return 1 if tried.broken else 0
    start = time.monotonic()
    failure = fuzzer.failure(seconds=wanted.seconds)
    seconds = time.monotonic() - start
    rate = fuzzer.runs / max(seconds, 0.001)
    sys.stdout.write(f"{name}: {fuzzer.runs} runs in {seconds:.0f} s, {rate:.0f} a second, with seed {wanted.seed}\n")
    if failure is None:
        return 0
    file = failure.write(Path(tempfile.mkdtemp(prefix="clarion-fuzz-")))
    sys.stdout.write(f"\nbroken: {failure.broken.promise}\n{failure.broken.story}\n")
    sys.stdout.write(f"again: python -m {name} --file {file} --as {failure.kind}\n")
    return 1
