"""The fuzz target holds for a fixed number of inputs, and finds what it is there to find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fuzz.fuzz_check import FUZZED, Check, WorkspaceFiles, seeds_of
from fuzz.fuzzer import Fuzzer
from fuzz.mutations import LONGEST, WORKSPACE_TOKENS, Mutator
from scheduler.diagnostics.diagnostic import Diagnostic, error
from scheduler.diagnostics.source import Source, Span


@pytest.mark.slow
def test_any_bytes_in_any_file_of_a_workspace_are_checked_without_a_crash() -> None:
    failure = Fuzzer(WorkspaceFiles(), seed=0).failure(runs=200)
    assert failure is None, failure.broken.story


@pytest.mark.parametrize("path", FUZZED)
def test_there_are_seeds_for_every_kind_of_file(path: str) -> None:
    assert seeds_of(path)


def test_one_seed_makes_the_same_bytes_and_no_more_than_twenty_kilobytes() -> None:
    seeds = seeds_of("rules/tested.yaml")
    first, second = Mutator(7, WORKSPACE_TOKENS), Mutator(7, WORKSPACE_TOKENS)
    contents = [first.mutated(seeds[0], seeds) for _ in range(200)]
    assert contents == [second.mutated(seeds[0], seeds) for _ in range(200)]
    assert len(set(contents)) > 150
    assert max(map(len, contents)) <= LONGEST


def crashes_at_nul(files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    if any("\0" in source.text for source in files.values()):
        raise IndexError("at NUL")
    return ()


def points_behind_the_end(files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    return [
        error("x", "wrong", Span(source, len(source.text) + 1, len(source.text) + 2))
        for source in files.values()
        if "\0" in source.text
    ]


def says_nothing(files: Mapping[str, Source]) -> Sequence[Diagnostic]:
    return [error("x", " ", source.span(0)) for source in files.values() if "\0" in source.text]


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (crashes_at_nul, "IndexError: at NUL"),
        (points_behind_the_end, "from 2 to 3 in a file of 1 characters: wrong"),
        (says_nothing, "a finding says nothing: "),
    ],
)
def test_broken_promise_is_found_and_made_as_small_as_it_gets(check: Check, what: str, tmp_path: Path) -> None:
    failure = Fuzzer(WorkspaceFiles(check), seed=0).failure(runs=5_000)
    assert failure is not None
    assert failure.content == b"\0"
    assert what in failure.broken.story
    assert failure.write(tmp_path).read_bytes() == b"\0"


def test_an_answer_that_takes_too_long_is_a_broken_promise() -> None:
    failure = Fuzzer(WorkspaceFiles(lambda files: (), most_seconds=-1.0), seed=0).failure(runs=1)
    assert failure is not None
    assert failure.broken.story == "took 0.0 s of CPU time"
