"""The counting sink in a process of its own: what benchmarks send to.

`with Sink.started(folder) as sink:` gives its port and the file to trust; afterwards `sink.requests` is its count.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from scheduler.simulator.listening import Listen
from scheduler.simulator.records import Statistics
from scheduler.simulator.sink import serve_sink


class WallClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Sink:
    """A sink that listens on this machine; `requests` is known when it has ended."""

    port: int
    ca_file: Path
    process: int
    requests: int = 0

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[Sink]:
        """Start a sink process that keeps its certificate in `folder`; end it afterwards."""
        ca_file = folder / "ca.pem"
        command = [sys.executable, __file__, str(ca_file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            sink = cls(int(process.stdout.readline()), ca_file, process.pid)
            yield sink
            process.send_signal(signal.SIGTERM)
            sink.requests = int(process.stdout.readline())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


async def _serve(ca_file: Path) -> None:
    statistics = Statistics()
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            listen = Listen(ca_file, port=0)
            port = await nursery.start(partial(serve_sink, listen, clock=WallClock(), statistics=statistics))
            print(port, flush=True)
            await anext(aiter(signals))
        nursery.cancel_scope.cancel()
    print(statistics.requests, flush=True)


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]))
