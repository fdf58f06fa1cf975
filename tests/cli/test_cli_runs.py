"""`clarion runs`: numbers that add up, and the hand that stops and goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clarion_command import Clarion


@pytest.fixture
def run_id(workspace: Path, clarion: Clarion) -> str:
    """The id of a run that waits for a daemon."""
    clarion("devices", "import", "samples/devices.csv")
    clarion("emit", "samples/article.json")
    (run,) = json.loads(clarion("runs", "list", "--format", "json").out)
    return str(run["run"])


SHOWN = """\
run       RUN
rule      breaking-news (version VERSION)
occasion  /newsroom article-1
state     pending
started   -
finished  -

outcome     devices  reason
selected          0
accepted          0
rejected          0
suppressed        0
expired           0
unknown           0
pending           0
"""


def test_a_run_is_shown_by_the_first_digits_of_its_id(run_id: str, clarion: Clarion) -> None:
    shown = clarion("runs", "show", run_id[:6])
    assert (shown.code, shown.err) == (0, "")
    assert re.sub(r"[0-9a-f]{32}", "VERSION", shown.out).replace(run_id, "RUN") == SHOWN


def test_a_run_as_json_has_the_documented_keys(run_id: str, clarion: Clarion) -> None:
    shown = json.loads(clarion("runs", "show", run_id, "--format", "json").out)
    assert {"run", "rule", "version", "occasion", "state", "counts", "maybe_repeated", "reasons", "started_at",
            "finished_at"} <= shown.keys()  # fmt: skip
    assert list(shown["counts"]) == [
        "selected", "accepted", "rejected", "suppressed", "expired", "unknown", "pending"
    ]  # fmt: skip
    assert (shown["run"], shown["rule"], shown["state"]) == (run_id, "breaking-news", "pending")


def test_the_list_shows_enough_of_the_id_to_show_the_run(run_id: str, clarion: Clarion) -> None:
    listed = clarion("runs", "list").out.splitlines()
    assert listed[0].split() == ["run", "rule", "state", "occasion", "started", "note"]
    short, *rest = listed[1].split()
    assert run_id.startswith(short)
    assert rest == ["breaking-news", "pending", "/newsroom", "article-1"]
    assert clarion("runs", "show", short).code == 0


def test_an_empty_list_says_what_makes_runs(workspace: Path, clarion: Clarion) -> None:
    ran = clarion("runs", "list")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "no runs yet; 'clarion emit FILE' brings an event, 'clarion run' sends\n"
    assert clarion("runs", "list", "--rule", "other").err == "no runs of other yet\n"
    assert json.loads(clarion("runs", "list", "--format", "json").out) == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("zz", "error: 'zz' is not a run's id"), ("", "error: '' is not a run's id"), ("0" * 9, "error: there is no run")],
)  # fmt: skip
@pytest.mark.parametrize("command", ["show", "pause", "resume", "cancel"])
def test_a_run_that_is_not_there_is_told(
    workspace: Path, clarion: Clarion, command: str, wanted: str, message: str
) -> None:
    ran = clarion("runs", command, wanted)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(message)
    assert ran.err.endswith("  hint: 'clarion runs list' shows them\n")


def test_a_run_is_paused_resumed_and_cancelled_by_hand(run_id: str, clarion: Clarion) -> None:
    for word, state in (("pause", "paused"), ("resume", "pending"), ("pause", "paused"), ("cancel", "cancelled")):
        ran = clarion("runs", word, run_id[:8])
        assert (ran.code, ran.out, ran.err) == (0, "", f"run {run_id} of breaking-news is {state}\n")
    late = clarion("runs", "resume", run_id)
    assert (late.code, late.out) == (2, "")
    assert late.err.startswith(f"error: run {run_id} is cancelled")
    assert "cancelled by hand" in clarion("runs", "list").out


def test_what_is_stopped_is_said_wherever_runs_are_shown_and_started_again(run_id: str, clarion: Clarion) -> None:
    stopped = clarion("stop", "--rule", "breaking-news")
    hint = "'clarion start --rule breaking-news' lets it go on"
    assert (stopped.code, stopped.out, stopped.err) == (0, "", f"rule breaking-news is stopped; {hint}\n")
    listed = clarion("runs", "list")
    assert "stopped: rule breaking-news" in listed.out
    assert listed.err.endswith(f": rule breaking-news; {hint}\n")
    assert "stopped   rule breaking-news\n" in clarion("runs", "show", run_id).out
    shown = json.loads(clarion("runs", "show", run_id, "--format", "json").out)
    assert (shown["state"], shown["stopped"]) == ("pending", "rule breaking-news")
    assert clarion("stop", "--all").code == 0
    started = clarion("start", "--rule", "breaking-news")
    assert started.err.startswith("rule breaking-news goes on\nstill stopped: everything (since ")
    assert clarion("start", "--all").err == "everything goes on\n"
    assert json.loads(clarion("runs", "list", "--format", "json").out)[0]["stopped"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stop",), "error: give one of --all, --rule and --category\n  hint: 'clarion stop --rule NAME'; 'clarion "
                    "runs list' says what is stopped\n"),
        (("stop", "--all", "--rule", "x"), "error: give one of --all, --rule and --category\n"),
        (("stop", "--rule", "breaking-new"), "error: there is no rule 'breaking-new'\n  hint: did you mean "
                                             "'breaking-news'?\n"),
        (("stop", "--category", "newz"), "error: there is no category 'newz'\n  hint: "),
        (("start", "--rule", "breaking-news"), "error: rule 'breaking-news' is not stopped\n  hint: nothing is "),
        (("runs", "rate", "ab", "fast"), "error: 'fast' is not a rate; write a number above 0 and /s or /min: "),
    ],
)  # fmt: skip
def test_wrong_use_of_the_kill_switch_and_of_rates(
    workspace: Path, clarion: Clarion, words: tuple[str, ...], message: str
) -> None:
    ran = clarion(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(message)


def test_a_rule_can_be_stopped_while_another_is_broken(workspace: Path, clarion: Clarion) -> None:
    (workspace / "rules" / "broken.yaml").write_text("category: [")
    assert clarion("stop", "--rule", "breaking-news").code == 0


def test_a_rate_by_hand_is_shown(run_id: str, clarion: Clarion) -> None:
    changed = clarion("runs", "rate", run_id[:8], "30/min")
    assert (changed.code, changed.err) == (0, f"run {run_id} of breaking-news sends at most 30/min\n")
    assert "rate      30/min\n" in clarion("runs", "show", run_id).out
    assert json.loads(clarion("runs", "show", run_id, "--format", "json").out)["rate"] == "30/min"
