"""A week of virtual time: all laws hold after it, it is the same again, and it does not matter where a daemon ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from support.week_drawing import make_rules
from support.week_laws import check_laws
from support.week_living import Killed, Provider, digest, dump, live, settle_in
from support.week_records import People, Records, read_records
from support.week_rules import END, START
from support.weeks import FULL, SMALL, Size, Week, make_week

from scheduler.domain.outcomes import OutcomeKind
from scheduler.store.database import Store, Transaction

BENCHMARK = Path(__file__).parents[2] / "benchmarks/week.py"
TINY = Size(rules=40, devices=150, events=600)


class MortalStore(Store):
    """A store whose process is killed before or after one of its transactions, again and again."""

    def __init__(self, url: str, chance: Random) -> None:
        super().__init__(url, is_scratch=True)
        self._chance = chance
        self._left = chance.randrange(25)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self._perhaps_die()
        with super().write() as tx:
            yield tx
        self._perhaps_die()

    def _perhaps_die(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._left = self._chance.randrange(25)
            raise Killed


def _lived(week: Week, folder: Path) -> tuple[Records, Provider, str]:
    """What is on disk after a week, with its hash; all laws hold."""
    workspace, store = settle_in(week, folder)
    provider = Provider()
    live(week, workspace, store, provider)
    records = read_records(week, store)
    check_laws(People(week), records, provider.taken)
    tables = dump(store)
    store.close()
    return records, provider, digest(tables)


def _ends(records: Records) -> dict[tuple[str, str, int], tuple[str, str | None]]:
    """(rule, occasion, device) → outcome and reason, or that it waits."""
    waiting = {(run.rule.name, run.occasion, device): ("waits", None) for run in records.runs for device in run.waiting}
    return waiting | {
        (run.rule.name, run.occasion, one.device): (one.outcome, one.reason)
        for run in records.runs
        for one in run.outcomes
    }


@pytest.mark.parametrize("seed", range(10))
def test_rules_of_a_week_have_a_key_of_reentry_exactly_where_their_file_has_one(seed: int) -> None:
    for rule in make_rules(Random(seed), FULL.rules):
        reentry = json.loads(rule.text()).get("limits", {}).get("reentry")
        assert rule.reentry_key == (isinstance(reentry, dict) and "key" in reentry), rule.text()


@pytest.mark.slow
def test_all_laws_hold_after_a_week_that_meets_all_kinds_of_decisions(tmp_path: Path) -> None:
    records, _, _ = _lived(make_week(7, SMALL), tmp_path)
    kinds = {one.outcome for run in records.runs for one in run.outcomes}
    reasons = {one.reason for run in records.runs for one in run.outcomes}
    assert kinds >= {"accepted", "rejected", "suppressed"}
    assert reasons >= {
        "held_out",
        "quiet_hours",
        "opted_out",
        "cap offers-day",
        "reentry",
        "exit_event",
        "Unregistered",
    }


@pytest.mark.slow
def test_the_same_seed_is_the_same_week_byte_for_byte_in_another_process(tmp_path: Path) -> None:
    _, _, here = _lived(make_week(3, TINY), tmp_path)
    arguments = [f"--{name}={value}" for name, value in vars(TINY).items()]
    command = [sys.executable, str(BENCHMARK), "--seed=3", *arguments]
    environ = os.environ | {"PYTHONHASHSEED": "77"}
    printed = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout
    assert printed.split()[-1] == here
    assert _lived(make_week(4, TINY), tmp_path / "4")[2] != here


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_where_a_daemon_ends_and_another_starts_makes_no_difference(tmp_path: Path, seed: int) -> None:
    week, chance = make_week(seed, TINY), Random(seed)
    instants = [START + (END - START) * chance.random() for _ in range(100)]
    plain, _, _ = _lived(week, tmp_path / "plain")
    restarted, _, _ = _lived(week.with_restarts(instants), tmp_path / "restarted")
    assert _ends(plain) == _ends(restarted)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_daemon_that_is_killed_between_any_two_transactions_loses_nobody(tmp_path: Path, seed: int) -> None:
    made = make_week(seed, TINY)
    week = replace(made, rules=[replace(rule, catch_up="all") for rule in made.rules])
    workspace, store = settle_in(week, tmp_path)
    mortal, provider = MortalStore(store.url, Random(seed)), Provider()
    assert live(week, workspace, store, provider, mortal=mortal) > 50
    records = read_records(week, store)
    check_laws(People(week), records, provider.taken, has_crashed=True)
    assert any(one.maybe_repeated for run in records.runs for one in run.outcomes)
    mortal.close()
    store.close()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_laws_hold_after_a_large_week(tmp_path: Path) -> None:
    records, _, _ = _lived(make_week(7, FULL), tmp_path)
    assert len(records.events) > 95_000
    assert {one.outcome for run in records.runs for one in run.outcomes} == set(OutcomeKind)
