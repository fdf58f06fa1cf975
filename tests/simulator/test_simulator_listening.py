"""The certificate authority lives on, and an address that cannot be had is said."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from simulator_client import NOW, connect

from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import OperatorError
from scheduler.simulator.certificates import authority
from scheduler.simulator.listening import Listen, serve_connections
from scheduler.simulator.sink import serve_sink


async def test_a_restart_keeps_the_authority_that_clients_trust(start: Any, tmp_path: Path) -> None:
    first = await start()
    certificate = first.ca_file.read_bytes()
    second = await start()
    assert second.ca_file.read_bytes() == certificate
    for simulator in (first, second):
        async with simulator.connect() as client:
            assert (await client.ask()).status == 200


def test_the_authoritys_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    authority(tmp_path / "ca.pem")
    assert (tmp_path / "ca.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_a_spoilt_authority_is_an_operator_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    (tmp_path / "ca.key").write_text("nothing")
    with pytest.raises(OperatorError) as error:
        authority(tmp_path / "ca.pem")
    assert str(error.value) == (
        f"{tmp_path / 'ca.pem'}: this and ca.key do not hold a certificate and its key\n"
        "  hint: delete both files: the simulator makes new ones"
    )


def test_a_place_that_cannot_be_written_is_an_operator_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError) as error:
        authority(tmp_path / "file" / "ca.pem")
    assert str(error.value) == (
        f"{tmp_path / 'file'}: the simulator's certificate cannot be kept: File exists\n"
        "  hint: give a path that can be written"
    )


async def test_a_port_that_is_taken_is_an_operator_error(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_sink, Listen(tmp_path / "ca.pem", port=0), clock=clock))
        with pytest.raises(OperatorError) as error:
            await serve_sink(Listen(tmp_path / "ca.pem", port=port), clock=clock)
        nursery.cancel_scope.cancel()
    assert str(error.value) == (f"127.0.0.1:{port}: the port is taken\n  hint: give another port; 0 takes any free one")


async def test_an_address_of_another_machine_is_an_operator_error(tmp_path: Path) -> None:
    async def serve(stream: object) -> None:
        raise AssertionError

    with pytest.raises(OperatorError) as error:
        await serve_connections(Listen(tmp_path / "ca.pem", host="192.0.2.1", port=0), serve)
    assert str(error.value).startswith("192.0.2.1:0: cannot listen there: ")
    assert str(error.value).endswith("\n  hint: give an address of this machine")


async def test_the_certificate_is_for_this_machines_names(start: Any) -> None:
    simulator = await start()
    for name in ("localhost", "127.0.0.1", "::1"):
        async with connect(simulator.port, simulator.ca_file, name=name) as client:
            assert (await client.ask()).status == 200
