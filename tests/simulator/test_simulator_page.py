"""docs/simulator.md is true: its examples run, its tables are complete."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import fields
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from fault_link import FaultLink

from scheduler.cli.simulator import simulator
from scheduler.diagnostics.source import Source
from scheduler.simulator.devices import parse_devices
from scheduler.simulator.fault_script import ACTIONS, read_script
from scheduler.simulator.faults import Fault
from scheduler.simulator.reasons import Reason
from scheduler.simulator.verdict import Connections, Finding, ProviderTokens, Starts, Verdict
from tests.support.markdown_page import Block, Row, Section, read_page

PAGE = Path(__file__).parents[2] / "docs" / "simulator.md"


@cache
def sections() -> dict[str, Section]:
    return {section.title: section for section in read_page(PAGE.read_text())}


def blocks(info: str, title: str) -> list[Block]:
    return [block for block in sections()[title].blocks if block.info == info]


def examples() -> list[Row]:
    return sections()["Faults"].rows("do", "example")


def faults_of(text: str) -> list[Fault]:
    script, findings = read_script(Source("docs/simulator.md", text))
    assert script is not None, findings
    return list(script.faults)


def played(faults: list[Fault]) -> FaultLink:
    """A connection on which every moment of the script has passed: twelve seconds, with up to ten requests in each."""
    link = FaultLink(*faults)
    link.overrun()
    for _ in range(120):
        if link.server.closed or link.server.cut:
            break
        link.pass_time(0.1)
        if link.client.remote_settings.initial_window_size >= 100:
            link.ask()
    return link


def test_every_fault_has_a_row_with_its_keys_and_an_example() -> None:
    rows = {row.code("do"): row for row in examples()}
    assert set(rows) == set(ACTIONS)
    for word, row in rows.items():
        assert row.codes("keys") == [one.name for one in fields(ACTIONS[word])], word
        (fault,) = faults_of(f"faults:\n  - {row.code('example')}\n")
        assert fault.action.word == word


@pytest.mark.parametrize("row", examples(), ids=lambda row: row.code("do"))
def test_the_example_of_every_fault_happens(row: Row) -> None:
    faults = faults_of(f"faults:\n  - {row.code('example')}\n")
    with_fault, without = played(faults), played([])
    assert _seen(with_fault) != _seen(without)


def _seen(link: FaultLink) -> Any:
    return (
        [frame.serialize() for frame in link.frames],
        link.arrivals,
        link.server.cut,
        [exchange.faults for exchange in link.exchanges],
    )


def test_the_script_on_the_page_is_one() -> None:
    (block,) = blocks("yaml", "Faults")
    assert len(faults_of(block.text)) == 5
    played(faults_of(block.text))


def test_the_devices_on_the_page_are_devices() -> None:
    (block,) = blocks("json", "Devices")
    devices = parse_devices([line.encode() for line in block.text.splitlines()], "devices")
    assert {device.state for device in devices.values()} == {"valid", "unregistered", "expired"}


def test_every_reason_of_the_checks_is_known_and_has_its_status() -> None:
    rows = [row for name in ("Checks", "Broadcasts") for row in sections()[name].rows("check", "status and reason")]
    named = {}
    for row in rows:
        status = None
        for number, reason in re.findall(r"(\d{3})|([A-Z][A-Za-z]+)", row.cells["status and reason"]):
            status = int(number) if number else status
            if reason:
                named[reason] = status
    assert named == {reason: Reason(reason).status for reason in named}
    others = set(Reason) - set(named)
    assert others == {"Forbidden", "IdleTimeout", "InternalServerError", "ServiceUnavailable", "Shutdown"}


def test_the_verdict_on_the_page_is_how_one_looks() -> None:
    (block,) = blocks("", "The verdict")
    verdict = Verdict(
        Starts(5000, 812, 97),
        Connections(3, 1, 2, 3, 0),
        ProviderTokens(1, 1, 0),
        settings_sent=7,
        settings_acknowledged=7,
        pings_sent=1,
        pings_answered=1,
        repeated=0,
        findings=(
            Finding("stream-limit", True, 4, "4 x streams opened above a limit that was acknowledged before"),
            Finding(
                "hpack", False, 4998, "4998 x apns-id entered the dynamic table again: it changes with every request"
            ),
        ),
    )
    assert block.text == f"{verdict}\n"


def test_the_options_on_the_page_exist() -> None:
    known = {f"--{name.replace('_', '-')}" for name in signature(simulator).parameters}
    used = set(re.findall(r"--[a-z][a-z-]+", PAGE.read_text()))
    assert used <= known, used - known


async def test_the_test_on_the_page_passes(tmp_path: Path) -> None:
    (block,) = blocks("python", "In a test")
    names: dict[str, Any] = {}
    exec(compile(block.text, str(PAGE), "exec"), names)
    test: Callable[[Path], Awaitable[None]] = names["test_the_second_request_is_too_many"]
    await test(tmp_path)
