"""What `express.py` sends to: Debian's nghttpd, or our own counting sink; each in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from express_work import DEVICES, STREAMS, device_token
from sink_process import Sink

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Serving:
    """A sink at work."""

    name: str
    port: int
    ca_file: Path
    process: int

    def cpu_seconds(self) -> float:
        """CPU time of its process so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def nghttpd_is_here() -> bool:
    return shutil.which("nghttpd") is not None


@contextmanager
def nghttpd(folder: Path) -> Iterator[Serving]:
    """nghttpd with Apple's limits, and an empty file for each device: it answers 200 to those alone."""
    devices = folder / "htdocs" / "3" / "device"
    devices.mkdir(parents=True)
    for number in range(DEVICES):
        (devices / device_token(number)).touch()
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    ca_file, key_file, chain_file = (folder / name for name in ("ca.pem", "key.pem", "chain.pem"))
    authority.cert_pem.write_to_path(str(ca_file))
    leaf.private_key_pem.write_to_path(str(key_file))
    leaf.cert_chain_pems[0].write_to_path(str(chain_file))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    limits = [f"--max-concurrent-streams={STREAMS}", "--window-bits=16", "--connection-window-bits=20"]
    command = ["nghttpd", "--address=127.0.0.1", f"--htdocs={folder / 'htdocs'}", *limits]
    with subprocess.Popen([*command, str(port), str(key_file), str(chain_file)], stdout=subprocess.DEVNULL) as process:
        try:
            _until_it_listens(port)
            yield Serving(version("nghttpd"), port, ca_file, process.pid)
        finally:
            process.kill()


@contextmanager
def own_sink(folder: Path) -> Iterator[Serving]:
    """`clarion simulator --sink`."""
    with Sink.started(folder) as sink:
        yield Serving("clarion's sink", sink.port, sink.ca_file, sink.process)


def version(program: str) -> str:
    """What a program of nghttp2 says of itself: `nghttpd nghttp2/1.52.0`."""
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _until_it_listens(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
