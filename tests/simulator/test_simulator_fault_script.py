"""A script is read with the place of everything that is wrong, and printed so that it reads back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.diagnostics.printers import as_text
from scheduler.diagnostics.source import Source
from scheduler.domain.errors import OperatorError
from scheduler.simulator.chaos import chaos_script
from scheduler.simulator.fault_script import ACTIONS, load_script, read_script, script_text
from scheduler.simulator.faults import (
    AnswerWith,
    ChangeSettings,
    Cut,
    CutBy,
    Fault,
    GoAway,
    Refuse,
    Reset,
    Script,
    Stall,
    Stalled,
)


def read(text: str) -> Script:
    script, findings = read_script(Source("faults.yaml", text))
    assert script is not None, as_text(findings)
    assert findings == []
    return script


def findings_of(text: str) -> list[str]:
    """What is wrong, as `line:column: message`, with its hint behind ` | `."""
    script, findings = read_script(Source("faults.yaml", text))
    assert script is None
    return [
        f"{one.span.line}:{one.span.column}: {one.message}" + (f" | {one.hint}" if one.hint else "") for one in findings
    ]


def test_a_script_is_its_faults_in_order() -> None:
    script = read(
        """\
faults:
  - {request: 3, times: 2, do: refuse}
  - second: 2.5
    connection: each
    do: goaway
    debug: "no: room"
    error: ENHANCE_YOUR_CALM
    unprocessed: 4
  - {request: 1, connection: 2, do: stall, what: reading, seconds: 1}
  - {request: 1, do: answer, reason: Shutdown}
  - {request: 1, do: reset, error: 64206}
  - {request: 1, do: cut, how: tls}
  - {second: 0, do: settings, header_table_size: 0}
"""
    )
    assert script == Script(
        (
            Fault(request=3, times=2, action=Refuse()),
            Fault(
                second=2.5,
                connection="each",
                action=GoAway(debug="no: room", error=0xB, unprocessed=4),
            ),
            Fault(request=1, connection=2, action=Stall(Stalled.READING, 1.0)),
            Fault(request=1, action=AnswerWith(reason="Shutdown")),
            Fault(request=1, action=Reset(0xFACE)),
            Fault(request=1, action=Cut(CutBy.TLS)),
            Fault(second=0.0, action=ChangeSettings(header_table_size=0)),
        )
    )


def test_an_empty_list_is_a_script() -> None:
    assert read("faults: []\n") == Script() == read(script_text(Script()))


@given(seed=st.integers())
def test_every_script_of_chance_reads_back_as_it_was_printed(seed: int) -> None:
    script = chaos_script(seed)
    assert read(script_text(script)) == script
    assert chaos_script(seed) == script


@given(reason=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_any_text_of_a_reason_reads_back(reason: str) -> None:
    script = Script((Fault(request=1, action=AnswerWith(status=400, reason=reason)),))
    assert read(script_text(script)) == script


def test_chance_makes_every_kind_of_fault() -> None:
    made = {fault.action.word for seed in range(60) for fault in chaos_script(seed).faults}
    assert made == set(ACTIONS)


def test_chance_keeps_to_the_bounds_that_it_is_given() -> None:
    for seed in range(50):
        script = chaos_script(seed, requests=20, seconds=2.0, faults=9)
        assert len(script.faults) == 9
        for fault in script.faults:
            assert fault.request is None or 1 <= fault.request <= 20
            assert fault.second is None or 0 <= fault.second <= 2
            for_ever = getattr(fault.action, "seconds", 0.0)
            assert for_ever is not None
            assert for_ever <= 0.4


LISTED = ", ".join(f"`{word}`" for word in ACTIONS)
WRONG = [
    ("", ["1:1: the file is empty | write `faults:` and a list"]),
    ("- a\n", ["1:1: the file must be a mapping | write `faults:` and a list"]),
    ("fault: []\n", ["1:1: unknown key 'fault' | did you mean 'faults'?"]),
    ("faults: 3\n", ["1:9: `faults` must be a list of faults | - {request: 3, do: refuse}"]),
    ("faults:\n  - refuse\n", ["2:5: a fault must be a mapping | - {request: 3, do: refuse}"]),
    ("faults:\n  - {request: 1}\n", [f"2:6: `do` is missing | it is one of {LISTED}"]),
    ("faults:\n  - {request: 1, do: refus}\n", ["2:22: there is no action 'refus' | did you mean 'refuse'?"]),
    ("faults:\n  - {request: 1, do: [refuse]}\n", [f"2:22: `do` must be one word | it is one of {LISTED}"]),
    ("faults:\n  - {request: 1, do: delay, secnds: 1}\n",
     ["2:29: unknown key 'secnds' of `do: delay` | did you mean 'seconds'?"]),
    ("faults:\n  - {request: 1, do: refuse, what: reading}\n",
     ["2:30: unknown key 'what' of `do: refuse` | `refuse` takes `request`, `times`, `second`, `connection`"]),
    ("faults:\n  - {request: 0, do: refuse}\n",
     ["2:15: `request` must be a whole number from 1 to 4294967295, not '0'"]),
    ("faults:\n  - {request: , do: refuse}\n",
     ["2:15: `request` must be a whole number from 1 to 4294967295"]),
    ("faults:\n  - {second: soon, do: ping}\n",
     ["2:14: `second` must be a number of seconds, from 0 to 86400, not 'soon'"]),
    ("faults:\n  - {second: -1, do: ping}\n",
     ["2:14: `second` must be a number of seconds, from 0 to 86400, not '-1'"]),
    ("faults:\n  - {second: 1, connection: all, do: ping}\n",
     ["2:29: `connection` must be `each` or a whole number from 1 to 4294967295, not 'all'"]),
    ("faults:\n  - {request: 1, second: 1, do: ping}\n",
     ["2:18: a fault has one moment, `request` or `second`, not both | write two faults"]),
    ("faults:\n  - {do: ping}\n",
     ["2:6: a fault has one moment, `request` or `second` | add `request: 1` or `second: 0`"]),
    ("faults:\n  - {second: 1, do: refuse}\n",
     ["2:6: `do: refuse` happens to a request, not at a second | write `request: 1`"]),
    ("faults:\n  - {second: 1, times: 2, do: ping}\n",
     ["2:17: `times` counts requests, and this fault has a `second` | leave it out"]),
    ("faults:\n  - {request: 1, do: streams}\n", ["2:6: `limit` of `do: streams` is missing"]),
    ("faults:\n  - {request: 1, do: answer}\n",
     ["2:6: `answer` needs `status` or `reason` | add `status: 503`: any status goes with any reason"]),
    ("faults:\n  - {request: 1, do: answer, reason: Shutdwn}\n",
     ["2:30: 'Shutdwn' is no reason of Apple's | did you mean 'Shutdown'?"]),
    ("faults:\n  - {request: 1, do: answer, status: 103}\n",
     ["2:30: 103 is no status of `do: answer` | below 200 is `informational`, from 200 on `answer`"]),
    ("faults:\n  - {request: 1, do: informational, status: 101}\n",
     ["2:37: 101 does not exist in HTTP/2 | write 100, 102 or 103"]),
    ("faults:\n  - {request: 1, do: reset, error: CANCL}\n",
     ["2:36: `error` must be the name of an HTTP/2 error code, or its number, not 'CANCL'; did you mean 'CANCEL'?"]),
    ("faults:\n  - {second: 1, do: stall, what: writing}\n",
     ["2:34: `what` must be `reading` or `answering`, not 'writing'"]),
    ("faults:\n  - {second: 1, do: goaway, reason: Shutdown, debug: x}\n",
     ["2:47: `reason` and `debug` are both the debug data | leave one out"]),
    ("faults:\n  - {second: 1, do: settings}\n",
     ["2:17: `settings` changes nothing | add one of `header_table_size`, `initial_window_size`, `max_frame_size`, "
      "`max_header_list_size`"]),
    ("faults:\n  - {second: 1, do: settings, max_frame_size: 100}\n",
     ["2:47: `max_frame_size` must be a whole number from 16384 to 16777215, not '100'"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_what_is_wrong_is_said_with_its_place_and_the_way_out(text: str, expected: list[str]) -> None:
    assert findings_of(text) == expected


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(findings_of("faults:\n  - {request: 0, do: reset, error: X}\n  - {second: 1, do: pong}\n")) == 3


def test_a_file_that_is_wrong_is_an_operator_error(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {request: 1, do: refus}\n  - {do: ping}\n")
    with pytest.raises(OperatorError) as error:
        load_script(path)
    assert str(error.value) == (f"{path}:2:22: there is no action 'refus' (and 1 more)\n  hint: did you mean 'refuse'?")
    with pytest.raises(OperatorError) as error:
        load_script(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the fault script cannot be read: Is a directory\n"
        "  hint: give a YAML file with `faults:`; --chaos SEED makes one up"
    )


@given(text=st.text(max_size=60), key=st.sampled_from(["request", "second", "do", "error", "reason", "how", "limit"]))
def test_no_text_makes_the_reader_fail(text: str, key: str) -> None:
    for written in (text, f"faults:\n  - {{{key}: {text}, do: reset}}\n", f"faults: [{{{key}: '{text}'}}]\n"):
        read_script(Source("faults.yaml", written))
