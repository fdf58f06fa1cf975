"""Daemons and simulators as processes of their own, to be killed.

They are forked from one process that has everything imported: a life starts in milliseconds, not in a second.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import trio
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from scheduler.cli.clock import SystemClock
from scheduler.simulator.listening import Listen
from scheduler.simulator.provider_tokens import TokenKey
from scheduler.simulator.server import SimulatorConfig, serve
from support.worlds import KEY_ID, TEAM_ID, signing_key

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["support.processes", "scheduler.cli.main", "scheduler.cli.run"])


def start_daemon(folder: Path, *options: str) -> ForkServerProcess:
    """`clarion run` in a workspace. Ends by itself, or is killed by the test."""
    process = _FORKED.Process(target=_clarion, args=("run", "--workspace", str(folder), *options), daemon=True)
    process.start()
    return process


@contextmanager
def simulator_process(folder: Path, log_file: Path) -> Iterator[int]:
    """A simulator that logs requests with their payloads; its port. Its authority is `ca.pem` in the folder."""
    theirs, ours = _FORKED.Pipe()
    process = _FORKED.Process(target=_simulate, args=(folder, log_file, signing_key(), theirs), daemon=True)
    process.start()
    try:
        assert ours.poll(20), "the simulator does not start"
        yield ours.recv()
    finally:
        process.kill()
        process.join()
        ours.close()
        theirs.close()


def _clarion(*arguments: str) -> None:
    from scheduler.cli.main import main

    sys.argv = ["clarion", *arguments]
    main()


def _simulate(folder: Path, log_file: Path, pem: bytes, ready: Connection) -> None:
    key = load_pem_private_key(pem, None).public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    config = SimulatorConfig(
        Listen(folder / "ca.pem", port=0), log_file=log_file, log_payloads=True, keys={KEY_ID: TokenKey(TEAM_ID, key)}
    )

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            ready.send(await nursery.start(partial(serve, config, clock=SystemClock())))

    trio.run(run)
