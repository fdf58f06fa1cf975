"""The counting sink in a process of its own: what benchmarks send to.

`with Sink.started(folder) as sink:` gives its port and the file to trust; afterwards `sink.requests` is its count, and
`sink.marked` says when requests came in whose payloads have a text.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from scheduler.simulator.listening import Listen
from scheduler.simulator.records import Statistics
from scheduler.simulator.sink import FrameWalker, serve_sink


class WallClock:
    """Real time."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass
class Sink:
    """A sink that listens on this machine; `requests` and `marked` are known when it has ended."""

    port: int
    ca_file: Path
    process: int
    requests: int = 0
    marked: list[float] = field(default_factory=list)
    """When each request with the mark came in: monotonic seconds, which all processes of a machine share."""

    @classmethod
    @contextmanager
    def started(cls, folder: Path, *, mark: str = "") -> Iterator[Sink]:
        """Start a sink process that keeps its certificate in `folder`; end it afterwards. `mark` is a text that it
        looks for in payloads, once in each."""
        ca_file = folder / "ca.pem"
        command = [sys.executable, __file__, str(ca_file), mark]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            sink = cls(int(process.stdout.readline()), ca_file, process.pid)
            yield sink
            process.send_signal(signal.SIGTERM)
            sink.requests = int(process.stdout.readline())
            sink.marked = json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class _MarkReader(FrameWalker):
    """Notes when a text comes in, in whatever pieces."""

    def __init__(self, mark: bytes, came: list[float]) -> None:
        super().__init__()
        self._mark = mark
        self._came = came
        self._tail = b""

    def walk(self, data: bytes) -> bytes:
        joined = self._tail + data
        found = joined.count(self._mark)
        if found:
            self._came += [time.monotonic()] * found
        self._tail = joined[len(joined) - len(self._mark) + 1 :]
        return super().walk(data)


async def _serve(ca_file: Path, mark: bytes) -> None:
    statistics = Statistics()
    came: list[float] = []
    walker = partial(_MarkReader, mark, came) if mark else None
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            listen = Listen(ca_file, port=0)
            serve = partial(serve_sink, listen, clock=WallClock(), statistics=statistics, walker=walker)
            port = await nursery.start(serve)
            print(port, flush=True)
            await anext(aiter(signals))
        nursery.cancel_scope.cancel()
    print(statistics.requests, flush=True)
    print(json.dumps(came), flush=True)


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]), sys.argv[2].encode())
